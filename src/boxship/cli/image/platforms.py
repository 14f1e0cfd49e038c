"""Platforms on the command line, refused in Docker's words before an engine is asked."""

from __future__ import annotations

import re

from boxship.errors import InvalidRequest
from boxship.spec.platform import ARCHITECTURES, Platform

PART = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
SYSTEM = re.compile(r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)\))?", re.ASCII)
SYSTEMS = frozenset(
    [
        "aix",
        "android",
        "darwin",
        "dragonfly",
        "freebsd",
        "hurd",
        "illumos",
        "ios",
        "js",
        "linux",
        "macos",
        "nacl",
        "netbsd",
        "openbsd",
        "plan9",
        "solaris",
        "wasip1",
        "windows",
        "zos",
    ]
)
KNOWN = frozenset(
    [
        "386",
        "amd64",
        "amd64p32",
        "arm",
        "armbe",
        "arm64",
        "arm64be",
        "loong64",
        "mips",
        "mipsle",
        "mips64",
        "mips64le",
        "mips64p32",
        "mips64p32le",
        "ppc",
        "ppc64",
        "ppc64le",
        "riscv",
        "riscv64",
        "s390",
        "s390x",
        "sparc",
        "sparc64",
        "wasm",
    ]
)


def parse(text: str, machine: str, prefix: str = "") -> Platform:
    """Read `os[/arch[/variant]]`; what is left out is the machine's."""
    if problem := problem_of(text):
        raise InvalidRequest(f"{prefix}{problem}: invalid argument")
    return Platform.parse(text, Platform.of_machine(machine))


def problem_of(text: str) -> str:
    """Say what is wrong with a platform, if anything is."""
    parts = text.split("/")
    if len(parts) > 3:
        return f'"{text}": cannot parse platform specifier'
    if not SYSTEM.fullmatch(parts[0]):
        pattern = SYSTEM.pattern.replace("\\", "\\\\")
        return (
            f'"{parts[0]}" is an invalid OS component of "{text}": '
            f'OSAndVersion specifier component must match "^{pattern}$"'
        )
    for part in parts[1:]:
        if not PART.fullmatch(part):
            return (
                f'"{part}" is an invalid component of "{text}": '
                f'platform specifier component must match "^{PART.pattern}$"'
            )
    word = parts[0].lower()
    if len(parts) == 1 and word not in SYSTEMS | KNOWN | ARCHITECTURES.keys():
        return f'"{text}": unknown operating system or architecture'
    return ""
