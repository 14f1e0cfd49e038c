"""The executor without our code in the new process: a stub performs the table of calls.

clone3(CLONE_VM) starts a process on the stub. The new process shares our memory until its execve,
so nothing is copied, however large we are; nothing of Python's runs in it.
"""

from __future__ import annotations

from boxship.kernel.namespaces import CLONE_CLEAR_SIGHAND, CLONE_PIDFD, CLONE_VM
from boxship.runtime.memory import Memory
from boxship.runtime.program import Program
from boxship.runtime.stub import STUBS as STUBS
from boxship.runtime.stub import Stub

ALWAYS = CLONE_VM | CLONE_PIDFD | CLONE_CLEAR_SIGHAND


class TableExecutor:
    """Starts processes by the stub."""

    shares_memory = True

    def __init__(self) -> None:
        self._stub = Stub()

    def launch(
        self, program: Program, flags: int = 0, signal: int = 17, cgroup: int = 0
    ) -> tuple[int, Memory]:
        """Start a process that performs `program`; return its pid, and the memory to keep."""
        memory = Memory(program, (flags | ALWAYS, signal, cgroup))
        try:
            return self._stub.clone(memory.base), memory
        except BaseException:
            memory.close()
            raise
