"""bpf(2): loading programs and attaching them to control groups; and their instructions.

An instruction is 8 bytes: opcode, destination and source register, jump offset, 32-bit operand.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final

from boxship.kernel.syscalls import NUMBER, address_of, check, raw, syscall

PROG_LOAD: Final = 5
PROG_ATTACH: Final = 8
PROG_DETACH: Final = 9
PROG_GET_FD_BY_ID: Final = 13
PROG_QUERY: Final = 16
PROG_TYPE_CGROUP_DEVICE: Final = 15
CGROUP_DEVICE: Final = 6  # where it is attached
F_ALLOW_MULTI: Final = 2
F_REPLACE: Final = 4

LDX_WORD: Final = 0x61  # dst = *(u32 *)(src + offset)
MOV: Final = 0xB7  # dst = operand
MOV_REGISTER: Final = 0xBF  # dst = src
AND: Final = 0x57
SHIFT_RIGHT: Final = 0x77
JUMP_NOT_EQUAL: Final = 0x55
JUMP_EQUAL: Final = 0x15
EXIT: Final = 0x95

LOG_SIZE: Final = 64 * 1024
MOST_PROGRAMS: Final = 64  # the kernel's bound for one attach point of a group


def instruction(
    opcode: int, destination: int = 0, source: int = 0, offset: int = 0, operand: int = 0
) -> bytes:
    """Encode one instruction."""
    return struct.pack("<BBhi", opcode, source << 4 | destination, offset, operand)


def load(kind: int, program: bytes, name: str = "") -> int:
    """Load a program and return its descriptor; it lives while something holds it.

    When the verifier refuses it, the OSError tells the end of what the verifier said.
    """
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"GPL")

    def attributes(log: int, log_size: int) -> bytes:
        return struct.pack(
            "<IIQQIIQII16s",
            kind, len(program) // 8, address_of(code), address_of(licence),
            int(log_size > 0), log_size, log, 0, 0, name.encode()[:15],
        )  # fmt: skip

    given = attributes(0, 0)
    result = raw(NUMBER["bpf"], PROG_LOAD, given, len(given))
    if result in (-errno.EINVAL, -errno.EACCES):
        log = ctypes.create_string_buffer(LOG_SIZE)
        given = attributes(address_of(log), LOG_SIZE)
        result = raw(NUMBER["bpf"], PROG_LOAD, given, len(given))
        return check(result, "bpf", log.value[-300:].decode(errors="replace") or name)
    return check(result, "bpf", name)


def attach(group: int, program: int, kind: int, replaced: int | None = None) -> None:
    """Attach a program to a control group, beside others or in the place of `replaced`."""
    flags = F_ALLOW_MULTI if replaced is None else F_ALLOW_MULTI | F_REPLACE
    given = struct.pack("<IIIII", group, program, kind, flags, replaced or 0)
    syscall("bpf", PROG_ATTACH, given, len(given))


def detach(group: int, program: int, kind: int) -> None:
    """Take a program from a control group."""
    given = struct.pack("<IIII", group, program, kind, 0)
    syscall("bpf", PROG_DETACH, given, len(given))


def attached(group: int, kind: int) -> list[int]:
    """Return descriptors, to be closed, of the programs attached to a control group."""
    ids = (ctypes.c_uint32 * MOST_PROGRAMS)()
    given = ctypes.create_string_buffer(
        struct.pack("<IIIIQI", group, kind, 0, 0, ctypes.addressof(ids), MOST_PROGRAMS), 28
    )
    syscall("bpf", PROG_QUERY, given, len(given))
    count = struct.unpack_from("<I", given.raw, 24)[0]
    opened: list[int] = []
    try:
        for number in ids[:count]:
            wanted = struct.pack("<III", number, 0, 0)
            opened.append(syscall("bpf", PROG_GET_FD_BY_ID, wanted, len(wanted)))
    except OSError:
        for descriptor in opened:
            os.close(descriptor)
        raise
    return opened
