"""The kernel's two instruction sets in Python, as far as our programs use them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

WORD = (1 << 64) - 1


def filter_says(program: bytes, number: int, audit: int, arguments: Sequence[int]) -> int:
    """Run a classic filter over one system call; return its verdict."""
    data = struct.pack("<IIQ6Q", number, audit, 0, *(list(arguments) + [0] * 6)[:6])
    code = [struct.unpack_from("HBBI", program, at) for at in range(0, len(program), 8)]
    at = loaded = 0
    while True:
        operation, yes, no, operand = code[at]
        at += 1
        match operation:
            case 0x20:
                loaded = struct.unpack_from("<I", data, operand)[0]
            case 0x54:
                loaded &= operand
            case 0x05:
                at += operand
            case 0x15:
                at += yes if loaded == operand else no
            case 0x25:
                at += yes if loaded > operand else no
            case 0x35:
                at += yes if loaded >= operand else no
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"no such instruction: {operation:#x}")


def device_program_says(program: bytes, kind: int, wanted: int, major: int, minor: int) -> int:
    """Run an eBPF program over one use of a device node; return its answer."""
    context = struct.pack("<III", wanted << 16 | kind, major, minor)
    code = [struct.unpack_from("<BBhi", program, at) for at in range(0, len(program), 8)]
    registers = [0] * 11
    at = 0
    while True:
        operation, pair, offset, operand = code[at]
        to, source = pair & 15, pair >> 4
        at += 1
        match operation:
            case 0x61:
                registers[to] = struct.unpack_from("<I", context, offset)[0]
            case 0xB7:
                registers[to] = operand & WORD
            case 0xBF:
                registers[to] = registers[source]
            case 0x57:
                registers[to] &= operand & WORD
            case 0x77:
                registers[to] >>= operand
            case 0x55:
                at += offset if registers[to] != operand & WORD else 0
            case 0x15:
                at += offset if registers[to] == operand & WORD else 0
            case 0x95:
                return registers[0]
            case _:
                raise AssertionError(f"no such instruction: {operation:#x}")
