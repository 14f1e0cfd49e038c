"""Laying a program out in memory that the process that performs it shares with us: see `laid`."""

from __future__ import annotations

import ctypes
import mmap
import struct
from typing import Final, assert_never

from boxship.kernel.seccomp import INSTRUCTION
from boxship.kernel.syscalls import NUMBER
from boxship.runtime.laid import CALL_SIZE, CALLS, CLONE_ARGUMENTS, CLONE_SIZE, PIDFD, Laid
from boxship.runtime.program import VALUE, Filter, Program, Result, Scratch, Strings

STACK: Final = 16384
LEAST: Final = 1 << 17
_HEADER: Final = struct.Struct("6Q")
_FAILURE: Final = struct.Struct("Qq")
_FAILED_AT: Final = 24
_WORD: Final = struct.Struct("q")
_MASK: Final = (1 << 64) - 1


class Memory(Laid):
    """A program laid out; it must be kept until the process runs something else, or has ended."""

    def __init__(self, program: Program, clone: tuple[int, int, int], stage: int = 0) -> None:
        """Lay `program` out; `clone` has the flags, the exit signal and the cgroup.

        With a `stage` it is laid out for another process, which will have it at that address;
        what it needs is `image` then.
        """
        count = len(program.calls)
        bytes_of_calls = CALLS + count * CALL_SIZE
        size = bytes_of_calls + _room(program) + STACK
        self.size = max(LEAST, (size + 4095) & ~4095)
        self._anchor: ctypes.c_char | None = None
        if stage:
            super().__init__(bytearray(self.size), stage, count, {})
        else:
            memory = mmap.mmap(-1, self.size)  # shared, so that a copy of us can report too
            self._anchor = ctypes.c_char.from_buffer(memory)
            super().__init__(memory, ctypes.addressof(self._anchor), count, {})
        self._pool = bytearray()
        self._pool_at = self.base + bytes_of_calls
        self._known: dict[bytes, int] = {}
        self._scratch: dict[str, int] = {}
        self._lay_out(program)
        self._scratch_at = {name: at - self.base for name, at in self._scratch.items()}
        self._end = bytes_of_calls + len(self._pool)
        self._map[bytes_of_calls : self._end] = self._pool
        self._write_head(program, clone)

    def place_of(self, name: str) -> int:
        """Return where in the memory a scratch memory is."""
        return self._scratch_at[name]

    @property
    def image(self) -> bytes:
        """The memory's content, without the zeros at its end."""
        return bytes(self._map[: self._end])

    def close(self) -> None:
        """Give the memory back."""
        self._anchor = None
        if isinstance(self._map, mmap.mmap):
            self._map.close()

    def set_scratch(self, name: str, number: int) -> None:
        """Note what is at the start of a scratch memory: what the kernel does for the stub."""
        struct.pack_into("i", self._map, self._scratch[name] - self.base, number)

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
            flags, self.base + PIDFD, 0, 0, signal, self.base + self.size - STACK, STACK - 64,
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
