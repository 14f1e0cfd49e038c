"""What a filter would say to a call, worked out without loading it."""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from boxship.kernel.syscalls import MACHINE, NUMBER

ALLOW: Final = 0x7FFF0000
_AUDIT: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _RETURN = 0x20, 0x06
_DATA: Final = struct.Struct("iIQ6Q")
_INSTRUCTION: Final = struct.Struct("HBBI")


@lru_cache(maxsize=32)
def allows(code: bytes, name: str, *arguments: int) -> bool:
    """Whether a filter lets a call pass; what we cannot tell is no."""
    words = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = _DATA.pack(NUMBER[name], _AUDIT.get(MACHINE, 0), 0, *words)
    program = list(_INSTRUCTION.iter_unpack(code))
    at = value = 0
    for _ in range(len(program)):
        code_of, yes, no, operand = program[at]
        at += 1
        if code_of == _LOAD:
            value = struct.unpack_from("I", data, operand)[0]
        elif code_of == _RETURN:
            return bool(operand == ALLOW)
        elif code_of == 0x05:
            at += operand
        elif code_of == 0x54:
            value &= operand
        elif code_of in _TESTS:
            at += yes if _TESTS[code_of](value, operand) else no
        else:
            return False
    return False


_TESTS: Final[dict[int, Callable[[int, int], bool]]] = {
    0x15: operator.eq,
    0x25: operator.gt,
    0x35: operator.ge,
    0x45: lambda value, operand: bool(value & operand),
}
