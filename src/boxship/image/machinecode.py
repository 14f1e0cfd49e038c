"""The smallest programs there are: a few system calls, as an ELF file without any library.

The file is its header, one program header, the instructions, the data; it is mapped as it lies,
read-only and executable, at `BASE`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

BASE: Final = 0x400000
HEADERS: Final = 64 + 56
# write, exit, rt_sigprocmask, rt_sigtimedwait
CALLS: Final = {
    "amd64": {"write": 1, "exit": 60, "rt_sigprocmask": 14, "rt_sigtimedwait": 128},
    "arm64": {"write": 64, "exit": 93, "rt_sigprocmask": 135, "rt_sigtimedwait": 137},
}
MACHINES: Final = {"amd64": 62, "arm64": 183}
# movabs into rdi, rsi, rdx, r10: prefix and opcode
X86_LOAD: Final = (b"\x48\xbf", b"\x48\xbe", b"\x48\xba", b"\x49\xba")
X86_LOAD_NUMBER: Final = b"\x48\xb8"
X86_SYSCALL: Final = b"\x0f\x05"
ARM_NUMBER: Final = 8  # the register that says which call
ARM_MOVZ: Final = 0xD2800000
ARM_MOVK: Final = 0xF2800000
ARM_SVC: Final = 0xD4000001


@dataclass(frozen=True, slots=True)
class Data:
    """An argument: the address of the program's data, `offset` bytes in."""

    offset: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One system call; the program makes its calls in order."""

    name: str
    arguments: tuple[int | Data, ...]


def program(architecture: str, calls: Sequence[Call], data: bytes) -> bytes:
    """Return the executable file."""
    assemble = _x86 if architecture == "amd64" else _arm
    numbers = CALLS[architecture]
    length = sum(len(assemble(numbers[c.name], [0] * len(c.arguments))) for c in calls)
    start = BASE + HEADERS + length
    code = b"".join(
        assemble(
            numbers[call.name],
            [start + a.offset if isinstance(a, Data) else a for a in call.arguments],
        )
        for call in calls
    )
    size = HEADERS + len(code) + len(data)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack(
        "<HHIQQQIHHHHHH", 2, MACHINES[architecture], 1, BASE + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    loaded = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000)
    return header + loaded + code + data


def _x86(number: int, arguments: Sequence[int]) -> bytes:
    code = b"".join(
        load + struct.pack("<Q", value) for load, value in zip(X86_LOAD, arguments, strict=False)
    )
    return code + X86_LOAD_NUMBER + struct.pack("<Q", number) + X86_SYSCALL


def _arm(number: int, arguments: Sequence[int]) -> bytes:
    code = b"".join(_arm_load(register, value) for register, value in enumerate(arguments))
    return code + _arm_load(ARM_NUMBER, number) + struct.pack("<I", ARM_SVC)


def _arm_load(register: int, value: int) -> bytes:
    words = [ARM_MOVZ | (value & 0xFFFF) << 5 | register]
    for part in (1, 2, 3):
        words.append(ARM_MOVK | part << 21 | (value >> 16 * part & 0xFFFF) << 5 | register)
    return struct.pack("<4I", *words)
