"""The emulator: a newer QEMU than the host's, where Debian has one; it forks six times faster.

Unpacked below the cache and not installed, with the libraries it was built with, and run by their
own loader. A host that virtualises, or that reaches no mirror, uses its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

OWN = "qemu-system-x86_64"
SUITE = "trixie"
LIBRARIES = "usr/lib/x86_64-linux-gnu"


def ensure(cache: Path) -> Path | None:
    """Return a program that runs the newer emulator, unpacking it if need be; None without."""
    program = cache / f"qemu-{SUITE}/run"
    if program.exists():
        return program
    beside = cache / f"qemu-{SUITE}.new"
    shutil.rmtree(beside, ignore_errors=True)
    made = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=extract", "--include=qemu-system-x86,libc6",
         SUITE, str(beside)],
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if made.returncode:
        shutil.rmtree(beside, ignore_errors=True)
        return None
    write_program(beside)
    beside.rename(program.parent)
    if subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=False).returncode:
        shutil.rmtree(program.parent)
        return None
    return program


def write_program(unpacked: Path) -> None:
    """Write what runs the emulator from wherever its folder is then."""
    loader = next(unpacked.glob("**/ld-linux-x86-64.so.2")).relative_to(unpacked)
    program = unpacked / "run"
    program.write_text(
        '#!/bin/sh\ncd "$(dirname "$(readlink -f "$0")")" || exit\n'
        f'export QEMU_MODULE_DIR="$PWD/{LIBRARIES}/qemu"\n'
        f"exec {loader} --library-path {LIBRARIES} usr/bin/{OWN} "
        '-L usr/share/qemu -L usr/share/seabios "$@"\n'
    )
    os.chmod(program, 0o755)
