"""Platforms: `os[/architecture[/variant]]` in the words of image documents."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from boxship.errors import InvalidRequest

PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
ARCHITECTURES: Final = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
}
DEFAULT_VARIANTS: Final = {"amd64": "v1", "arm64": "v8", "arm": "v7"}
KNOWN_SYSTEMS: Final = frozenset(
    ("linux", "windows", "darwin", "freebsd", "openbsd", "netbsd", "dragonfly", "solaris", "aix")
)
KNOWN_ARCHITECTURES: Final = frozenset(
    ("386", "amd64", "arm", "arm64", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc64",
     "ppc64le", "riscv64", "s390x", "wasm")
)  # fmt: skip
# what each architecture runs besides its own, best first
RUNS: Final = {"amd64": ("386",), "arm64": ("arm",)}


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image was made for; an empty part means that nobody said."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def parse(cls, text: str, host: Platform | None = None) -> Self:
        """Read `linux/arm64/v8`, `arm64` or `linux`; what is left out is the host's."""
        parts = text.split("/")
        if len(parts) > 3 or not all(PART.fullmatch(part) for part in parts):
            raise InvalidRequest(f'"{text[:100]}" is an invalid platform specification')
        host = host or cls("linux", "amd64")
        if len(parts) == 1:
            if parts[0].lower() in KNOWN_SYSTEMS:
                return cls(parts[0].lower(), host.architecture, host.variant)
            if cls.normal("", parts[0]).architecture not in KNOWN_ARCHITECTURES:
                raise InvalidRequest(f'"{text}": unknown operating system or architecture')
            parts.insert(0, host.os)
        return cls.normal(parts[0], parts[1], parts[2] if len(parts) > 2 else "")

    @classmethod
    def normal(cls, os: str, architecture: str, variant: str = "", os_version: str = "") -> Self:
        """Return the platform in its usual words, without a variant that goes without saying."""
        architecture, variant = architecture.lower(), variant.lower()
        if found := ARCHITECTURES.get(architecture):
            architecture, usual = found
            variant = variant or usual
        if variant.isdigit():
            variant = f"v{variant}"
        if architecture != "arm" and variant == DEFAULT_VARIANTS.get(architecture):
            variant = ""
        if architecture == "arm" and not variant:
            variant = DEFAULT_VARIANTS["arm"]
        return cls(
            {"macos": "darwin"}.get(os.lower(), os.lower()), architecture, variant, os_version
        )

    @classmethod
    def of_machine(cls, machine: str) -> Self:
        """Return the Linux platform of what uname(2) calls `machine`."""
        return cls.normal("linux", machine)

    def __str__(self) -> str:
        """Return `os/architecture[/variant]`."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def is_exactly(self, other: Platform) -> bool:
        """Whether both are the same, however they were written."""
        return _words(self) == _words(other)

    def suitability(self, host: Platform) -> int | None:
        """How well `host` runs this; smaller is better, None is not at all."""
        mine, its = _words(self), _words(host)
        if mine[0] != its[0]:
            return None
        level, most = _level(mine[2]), _level(its[2])
        if mine[1] == its[1]:
            return most - level if level <= most else None
        if mine[1] in RUNS.get(its[1], ()):
            return 1000 - level
        return None


def best(platforms: Iterable[Platform | None], host: Platform) -> int | None:
    """Return the index of the platform that `host` runs best, or None."""
    ranked = (
        (fit, index)
        for index, platform in enumerate(platforms)
        if platform is not None and (fit := platform.suitability(host)) is not None
    )
    return min(ranked, default=(0, None))[1]


def _words(platform: Platform) -> tuple[str, str, str]:
    usual = Platform.normal(platform.os, platform.architecture, platform.variant)
    return (
        usual.os,
        usual.architecture,
        usual.variant or DEFAULT_VARIANTS.get(usual.architecture, ""),
    )


def _level(variant: str) -> int:
    digits = re.match(r"v(\d{1,3})", variant, re.ASCII)
    return int(digits[1]) if digits else 0
