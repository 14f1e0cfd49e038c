"""Programs of other machines: the host runs them if binfmt_misc knows an interpreter.

/proc/sys/fs/binfmt_misc/qemu-<architecture>   enabled, and with the flag F: the interpreter is
                                               opened beforehand and need not be in the image
"""

from __future__ import annotations

import os
from typing import Final

from boxship.errors import NotSupported
from boxship.spec.platform import Platform

FOLDER: Final = "/proc/sys/fs/binfmt_misc"
NAMES: Final = {
    "amd64": "x86_64",
    "386": "i386",
    "arm64": "aarch64",
    "arm": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "mips64le": "mips64el",
    "loong64": "loongarch64",
}


def check(platform: Platform | None, host: Platform, folder: str = FOLDER) -> None:
    """Refuse to run what this host cannot run, and say what is missing."""
    if platform is None or platform.suitability(host) is not None:
        return
    name = NAMES.get(platform.architecture, platform.architecture)
    if platform.os != host.os or not _is_registered(os.path.join(folder, f"qemu-{name}")):
        raise NotSupported(
            f"a program for {platform} cannot run on {host}: binfmt_misc has no interpreter "
            f"qemu-{name} that works inside containers (flag F)"
        )


def _is_registered(path: str) -> bool:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            lines = file.read(4096).splitlines()
    except OSError:
        return False
    flags = "".join(line.partition(":")[2] for line in lines if line.startswith("flags:"))
    return "enabled" in lines and "F" in flags
