"""The executor in Python: for machines without a stub, and to compare the other with."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final, assert_never

from boxship.kernel.namespaces import CLONE_CLEAR_SIGHAND, CLONE_PIDFD, CLONE_VFORK, CLONE_VM
from boxship.kernel.seccomp import INSTRUCTION
from boxship.kernel.syscalls import NUMBER, check, raw
from boxship.runtime.laid import CLONE_ARGUMENTS, CLONE_SIZE
from boxship.runtime.memory import Memory
from boxship.runtime.program import VALUE, Call, Filter, Program, Result, Scratch, Strings

_HIGHEST_ERROR: Final = 4095
_Word = int | bytes | ctypes.Array[ctypes.c_char]


class PlainExecutor:
    """Starts processes as copies of this one, which must have one thread only."""

    shares_memory = False

    def launch(
        self, program: Program, flags: int = 0, signal: int = 17, cgroup: int = 0
    ) -> tuple[int, Memory]:
        """Start a process that performs `program`; return its pid, and the memory to keep."""
        wanted = flags & ~(CLONE_VM | CLONE_VFORK) | CLONE_PIDFD | CLONE_CLEAR_SIGHAND
        memory = Memory(program, (wanted, signal, cgroup))
        # The new process has a stack of its own only because it has memory of its own.
        arguments = bytearray(ctypes.string_at(memory.base + CLONE_ARGUMENTS, CLONE_SIZE))
        struct.pack_into("QQ", arguments, 40, 0, 0)
        performer = Performer(program, memory)
        ctypes.pythonapi.PyOS_BeforeFork()
        pid = raw(NUMBER["clone3"], bytes(arguments), CLONE_SIZE)
        if pid == 0:
            ctypes.pythonapi.PyOS_AfterFork_Child()
            performer.run()
        ctypes.pythonapi.PyOS_AfterFork_Parent()
        try:
            return check(pid, "clone3"), memory
        except BaseException:
            memory.close()
            raise


class Performer:
    """Performs a program in the process that calls it, and never returns."""

    def __init__(self, program: Program, memory: Memory) -> None:
        self._program = program
        self._memory = memory
        self._results = [0] * len(program.calls)
        self._kept: list[object] = []  # what arguments point to
        self._scratch: dict[str, ctypes.Array[ctypes.c_char]] = {}

    def run(self) -> None:
        """Perform the calls, one after the other."""
        try:
            at, failed = 0, False
            while True:
                call = self._program.calls[at]
                result = self._perform(call)
                self._results[at] = result
                self._memory.keep(at, result)
                following = self._following(call, at, result)
                if following < 0:
                    self._memory.fail(at, -result)
                    if failed or self._program.on_failure is None:
                        break
                    failed, following = True, self._program.places[self._program.on_failure.number]
                at = following
        finally:
            os._exit(127)

    def _following(self, call: Call, at: int, result: int) -> int:
        """Return the call to make next, or -1 after a failure."""
        if -_HIGHEST_ERROR <= result < 0:
            bit = -result if -result < 64 else 0
            if call.tolerated >> bit & 1:
                return self._program.where(call.on_tolerated, at + 1)
            return at + 1 if call.lenient else -1
        if call.if_nonzero and not result:
            return at + 1
        return self._program.where(call.on_success, at + 1)

    def _perform(self, call: Call) -> int:
        words = [self._word(argument) for argument in call.arguments]
        if call.name == VALUE:
            value = words[0]
            assert isinstance(value, int)
            return value
        result = raw(NUMBER[call.name], *words)
        for argument in call.arguments:
            # Of a process and its new child, only the first has been told the child's number.
            if type(argument) is Scratch and result > 0:
                number = struct.unpack_from("i", self._scratch[argument.name])[0]
                self._memory.set_scratch(argument.name, number)
        return result

    def _word(self, argument: int | bytes | Result | Strings | Filter | Scratch) -> _Word:
        match argument:
            case int() | bytes():
                return argument
            case Result(index):
                return self._results[index]
            case Strings(items):
                vector = (ctypes.c_char_p * (len(items) + 1))(*items, None)
                self._kept.append(vector)
                return ctypes.addressof(vector)
            case Filter(code):
                held = ctypes.create_string_buffer(code, len(code))
                self._kept.append(held)
                return struct.pack("HxxxxxxQ", len(code) // INSTRUCTION, ctypes.addressof(held))
            case Scratch(name, size):
                if name not in self._scratch:
                    self._scratch[name] = ctypes.create_string_buffer(size)
                return self._scratch[name]
            case _:
                assert_never(argument)
