"""The architectures whose calls can arrive on a machine, by the names that profiles use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from boxship.errors import NotSupported
from boxship.runtime.seccomp import numbers


@dataclass(frozen=True, slots=True)
class Architecture:
    """`audit` is what the kernel puts in a call's data; `go` is the word of Docker's profiles."""

    name: str
    audit: int
    go: str
    numbers: Callable[[], Mapping[str, int]]
    bits: int = 64


X86_64: Final = Architecture(
    "SCMP_ARCH_X86_64", 0xC000003E, "amd64", partial(numbers.table, numbers.X86_64)
)
X32: Final = Architecture("SCMP_ARCH_X32", 0xC000003E, "x32", numbers.x32)
X86: Final = Architecture(
    "SCMP_ARCH_X86", 0x40000003, "x86", partial(numbers.table, numbers.X86), bits=32
)
AARCH64: Final = Architecture(
    "SCMP_ARCH_AARCH64", 0xC00000B7, "arm64", partial(numbers.table, numbers.AARCH64)
)
ARM: Final = Architecture(
    "SCMP_ARCH_ARM", 0x40000028, "arm", partial(numbers.table, numbers.ARM), bits=32
)
FAMILY: Final = {"x86_64": (X86_64, X86, X32), "aarch64": (AARCH64, ARM)}
OTHERS: Final = """
    LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PARISC PARISC64 PPC PPC64
    PPC64LE RISCV64 S390 S390X SH SHEB
"""
NAMES: Final = frozenset(  # all that the runtime specification knows
    [arch.name for family in FAMILY.values() for arch in family]
    + [f"SCMP_ARCH_{name}" for name in OTHERS.split()]
)


def family(machine: str) -> tuple[Architecture, ...]:
    """Return what can run on a machine (as uname names it), its own architecture first."""
    try:
        return FAMILY[machine]
    except KeyError:
        raise NotSupported(f"seccomp filters are not supported on {machine}") from None
