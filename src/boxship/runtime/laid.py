"""A program laid out in memory, as those see it who have to know what became of it.

    0     address and size of clone3's arguments; first call; failed call, its errno;
          where to go on after a failure
    64    clone3's arguments (88 bytes)
    160   the pidfd of the new process
    192   the calls, 96 bytes each:
            0 number, or a negative one for no call      64 flags
            8 six arguments                              72 errors that are tolerated
            56 result                                    80 where to go on after one of those
                                                         88 where to go on after success
          strings, vectors, scratch memory; at the end the stack of the new process

Of the flags, bits 0 to 5 say of each argument that it is the address of what is meant; bit 8 is
`if_nonzero` and bit 9 `lenient`. All words are 64 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from mmap import mmap
from typing import Any, Final

CLONE_ARGUMENTS: Final = 64
CLONE_SIZE: Final = 88
PIDFD: Final = 160
CALLS: Final = 192
CALL_SIZE: Final = 96
_FAILURE: Final = struct.Struct("Qq")
_FAILED_AT: Final = 24
_WORD: Final = struct.Struct("q")
_NUMBER: Final = struct.Struct("i")


class Laid:
    """`memory` is what lies at the address `base`; `scratch` says where its names are in it."""

    def __init__(self, memory: mmap | Any, base: int, count: int, scratch: Mapping[str, int]):
        self._map = memory
        self.base = base
        self._count = count
        self._scratch_at = scratch

    def close(self) -> None:
        """Give the memory back."""

    @property
    def pidfd(self) -> int:
        return int(_NUMBER.unpack_from(self._map, PIDFD)[0])

    def result(self, index: int) -> int:
        """Return what a call returned; 0 if it was never made."""
        return int(_WORD.unpack_from(self._map, CALLS + index * CALL_SIZE + 56)[0])

    def scratch(self, name: str) -> int:
        """Return the 32-bit number at the start of a scratch memory."""
        return int(_NUMBER.unpack_from(self._map, self._scratch_at[name])[0])

    def failure(self) -> tuple[int, int] | None:
        """Return the index of the call that failed and its errno."""
        at, error = _FAILURE.unpack_from(self._map, _FAILED_AT)
        if not at:
            return None
        index = (at - self.base - CALLS) // CALL_SIZE
        return (index, error) if 0 <= index < self._count and 0 < error < 4096 else (0, 5)
