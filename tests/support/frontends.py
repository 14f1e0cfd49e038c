"""Images of a frontend that the tests have written: this machine's interpreter and its program."""

from __future__ import annotations

import functools
import glob
import io
import os
import re
import subprocess
import sys
import tarfile

from tests.support.engine import CHECKOUT, Engine

PROGRAM = "tests.support.frontend_program"
LISTED = f"""
import os, sys
import {PROGRAM}, asyncio, encodings.idna, importlib.util, runpy
for module in list(sys.modules.values()):
    path = getattr(module, "__file__", None)
    if path and os.path.isfile(path):
        print(os.path.abspath(path))
for line in open("/proc/self/maps"):
    if ".so" in line:
        print(line.split()[-1])
"""


@functools.cache
def archive() -> bytes:
    """Return a file system that has all that the program loads, and nothing else."""
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}/src:{CHECKOUT}"}
    listed = subprocess.run(
        [sys.executable, "-c", LISTED], env=environment, capture_output=True, text=True, check=True
    )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted({*listed.stdout.split("\n")} - {""}):
            tar.add(os.path.realpath(path), path)
            if (short := re.match(r".+\.so\.\d+", path)) and short[0] != path:
                tar.add(path, short[0])  # as those call it that need it
        tar.add(os.path.realpath(sys.executable), "/usr/bin/python")
        for name in ("lib", "lib64", "bin", "sbin"):  # as on every machine of today
            if os.path.islink(f"/{name}"):
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, os.readlink(f"/{name}")
                tar.addfile(link)
        for loader in glob.glob("/lib64/ld-*.so.*") + glob.glob("/lib/ld-*.so.*"):
            place = f"{os.path.realpath(os.path.dirname(loader))}/{os.path.basename(loader)}"
            tar.add(os.path.realpath(loader), place)
    return packed.getvalue()


def changes(*more: str) -> list[str]:
    """Return how the image is run."""
    places = [path for path in sys.path if path and "zip" not in path]
    found = dict.fromkeys([f"{CHECKOUT}/src", str(CHECKOUT), *places])
    return [
        f'ENTRYPOINT ["/usr/bin/python", "-S", "-m", "{PROGRAM}"]',
        f"ENV PYTHONPATH={':'.join(found)}",
        f"ENV PYTHONHOME={sys.base_prefix}",
        *more,
    ]


def make(engine: Engine, name: str, *more: str) -> None:
    """Make an image of the frontend; `more` are further instructions, such as labels."""
    words = [word for change in changes(*more) for word in ("--change", change)]
    engine.docker("import", *words, "-", name, input=archive(), text=False)
