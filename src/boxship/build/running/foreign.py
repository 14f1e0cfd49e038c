"""Programs of other machines: the host runs them if binfmt_misc knows an interpreter.

/proc/sys/fs/binfmt_misc/qemu-<architecture>   enabled, and with the flag F: the interpreter is
                                               opened beforehand and need not be in the image
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from boxship.errors import NotSupported
from boxship.kernel import paths
from boxship.spec.platform import Platform

HEADER: Final = 20
BIG: Final = 2
NOT_EXECUTED: Final = 255  # how a process ends whose program could not be executed
MACHINES: Final = {
    3: "386",
    8: "mips",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "amd64",
    183: "arm64",
    243: "riscv64",
    258: "loong64",
}
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
    if platform.os != host.os:
        raise NotSupported(f"a program for {platform} cannot run on {host}")
    name = NAMES.get(platform.architecture, platform.architecture)
    if not _is_registered(os.path.join(folder, f"qemu-{name}")):
        raise NotSupported(
            f"exec format error: a program for {platform} cannot run on {host}: binfmt_misc has "
            f"no interpreter qemu-{name} that works inside containers (flag F)"
        )


def explained(root: int, args: Sequence[str], env: Sequence[str]) -> str:
    """Say what kept a program from being executed, if it is one of another machine's."""
    search = next((line[5:] for line in env if line.startswith("PATH=")), os.defpath)
    name = args[0] if args else ""
    folders = [""] if "/" in name else [f"{folder}/" for folder in search.split(":") if folder]
    with open("/proc/self/exe", "rb") as file:
        own = _machine(file.read(HEADER))
    for folder in folders:
        data = paths.read_file_in_root(root, (folder + name).lstrip("/"), HEADER)
        if data is not None:
            machine = _machine(data)
            if machine in (None, own):
                return ""
            which = MACHINES.get(machine or 0, f"machine {machine}")
            return (
                f": exec format error: {folder}{name} is a program for {which}, and binfmt_misc "
                "has no interpreter for it that works inside containers (flag F)"
            )
    return ""


def _machine(header: bytes) -> int | None:
    """Return the machine that an ELF file is for, by its number there."""
    if len(header) < HEADER or not header.startswith(b"\x7fELF"):
        return None
    return int.from_bytes(header[18:20], "big" if header[5] == BIG else "little")


def _is_registered(path: str) -> bool:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            lines = file.read(4096).splitlines()
    except OSError:
        return False
    flags = "".join(line.partition(":")[2] for line in lines if line.startswith("flags:"))
    return "enabled" in lines and "F" in flags
