"""The memory in which a program is laid out, shared between the process that performs it and us.

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

import ctypes
import mmap
import struct
from typing import Final, assert_never

from boxship.kernel.seccomp import INSTRUCTION
from boxship.kernel.syscalls import NUMBER
from boxship.runtime.program import VALUE, Filter, Program, Result, Scratch, Strings

CLONE_ARGUMENTS: Final = 64
CLONE_SIZE: Final = 88
PIDFD: Final = 160
CALLS: Final = 192
CALL_SIZE: Final = 96
STACK: Final = 16384
LEAST: Final = 1 << 17
_HEADER: Final = struct.Struct("6Q")
_FAILURE: Final = struct.Struct("Qq")
_FAILED_AT: Final = 24
_WORD: Final = struct.Struct("q")
_MASK: Final = (1 << 64) - 1


class Memory:
    """A program laid out; it must be kept until the process runs something else, or has ended."""

    def __init__(self, program: Program, clone: tuple[int, int, int]) -> None:
        """Lay `program` out; `clone` has the flags, the exit signal and the cgroup."""
        self._count = len(program.calls)
        bytes_of_calls = CALLS + self._count * CALL_SIZE
        size = bytes_of_calls + _room(program) + STACK
        self._size = max(LEAST, (size + 4095) & ~4095)
        self._map = mmap.mmap(-1, self._size)  # shared, so that a copy of us can report too
        self._anchor = ctypes.c_char.from_buffer(self._map)
        self.base = ctypes.addressof(self._anchor)
        self._pool = bytearray()
        self._pool_at = self.base + bytes_of_calls
        self._known: dict[bytes, int] = {}
        self._scratch: dict[str, int] = {}
        self._lay_out(program)
        self._map[bytes_of_calls : bytes_of_calls + len(self._pool)] = self._pool
        self._write_head(program, clone)

    def close(self) -> None:
        """Give the memory back."""
        del self._anchor
        self._map.close()

    @property
    def pidfd(self) -> int:
        return int(struct.unpack_from("i", self._map, PIDFD)[0])

    def result(self, call: Result) -> int:
        """Return what a call returned; 0 if it was never made."""
        at = CALLS + call.index * CALL_SIZE + 56
        return int(_WORD.unpack_from(self._map, at)[0])

    def scratch(self, name: str) -> int:
        """Return the 32-bit number at the start of a scratch memory."""
        return int(struct.unpack_from("i", self._map, self._scratch[name] - self.base)[0])

    def set_scratch(self, name: str, number: int) -> None:
        """Note what is at the start of a scratch memory: what the kernel does for the stub."""
        struct.pack_into("i", self._map, self._scratch[name] - self.base, number)

    def failure(self) -> tuple[int, int] | None:
        """Return the index of the call that failed and its errno."""
        at, error = _FAILURE.unpack_from(self._map, _FAILED_AT)
        if not at:
            return None
        index = (at - self.base - CALLS) // CALL_SIZE
        return (index, error) if 0 <= index < self._count and 0 < error < 4096 else (0, 5)

    def fail(self, index: int, error: int) -> None:
        """Note a failure: what the stub does by itself."""
        _FAILURE.pack_into(self._map, _FAILED_AT, self._call_at(index), error)

    def keep(self, index: int, result: int) -> None:
        """Note a result: what the stub does by itself."""
        _WORD.pack_into(self._map, CALLS + index * CALL_SIZE + 56, result)

    def _call_at(self, index: int) -> int:
        return self.base + CALLS + index * CALL_SIZE

    def _write_head(self, program: Program, clone: tuple[int, int, int]) -> None:
        failed = program.on_failure
        _HEADER.pack_into(
            self._map, 0,
            self.base + CLONE_ARGUMENTS, CLONE_SIZE, self._call_at(0), 0, 0,
            self._call_at(program.places[failed.number]) if failed else 0,
        )  # fmt: skip
        flags, signal, cgroup = clone
        struct.pack_into(
            "11Q", self._map, CLONE_ARGUMENTS,
            flags, self.base + PIDFD, 0, 0, signal, self.base + self._size - STACK, STACK - 64,
            0, 0, 0, cgroup,
        )  # fmt: skip

    def _lay_out(self, program: Program) -> None:
        words: list[int] = []
        places, number, call_at = program.places, NUMBER, self.base + CALLS
        for call in program.calls:
            flags = 256 * call.if_nonzero + 512 * call.lenient
            words.append(_MASK if call.name == VALUE else number[call.name])
            bit = 1
            for argument in call.arguments:
                if type(argument) is int:
                    words.append(argument & _MASK)
                elif type(argument) is bytes:
                    words.append(self._text(argument))
                elif type(argument) is Result:
                    words.append(call_at + argument.index * CALL_SIZE + 56)
                    flags |= bit
                else:
                    words.append(self._other(argument))
                bit <<= 1
            words.extend(_NOTHING[len(call.arguments) :])
            words += (
                0,
                flags,
                call.tolerated,
                call_at + places[call.on_tolerated] * CALL_SIZE if call.on_tolerated >= 0 else 0,
                call_at + places[call.on_success] * CALL_SIZE if call.on_success >= 0 else 0,
            )
        struct.pack_into(f"{len(words)}Q", self._map, CALLS, *words)

    def _other(self, argument: int | bytes | Result | Strings | Filter | Scratch) -> int:
        match argument:
            case Strings(items):
                addresses = [self._text(item) for item in items]
                return self._raw(struct.pack(f"{len(addresses) + 1}Q", *addresses, 0))
            case Filter(code):
                at = self._raw(code)
                return self._raw(struct.pack("HxxxxxxQ", len(code) // INSTRUCTION, at))
            case Scratch(name, size):
                if name not in self._scratch:
                    self._scratch[name] = self._raw(bytes(size))
                return self._scratch[name]
            case int() | bytes() | Result():
                raise TypeError(f"{argument!r} is laid out elsewhere")
            case _:
                assert_never(argument)

    def _text(self, text: bytes) -> int:
        at = self._known.get(text)
        if at is None:
            at = self._known[text] = self._raw(text + b"\0")
        return at

    def _raw(self, data: bytes) -> int:
        pool = self._pool
        pool += bytes(-len(pool) % 8)
        at = self._pool_at + len(pool)
        pool += data
        return at


_NOTHING: Final = (0,) * 6


def _room(program: Program) -> int:
    """Return a size in which all that arguments point to has room."""
    room = 0
    for call in program.calls:
        for argument in call.arguments:
            if type(argument) is bytes:
                room += len(argument) + 16
            elif type(argument) is Strings:
                room += 32 + sum(len(item) + 24 for item in argument.items)
            elif type(argument) is Filter:
                room += len(argument.code) + 64
            elif type(argument) is Scratch:
                room += argument.size + 16
    return room
