"""What performs programs, and how it is set off with a plan."""

from __future__ import annotations

import socket
from signal import SIGCHLD
from typing import Protocol

from boxship.kernel.namespaces import CLONE_INTO_CGROUP, CLONE_PARENT
from boxship.runtime.init import Plan
from boxship.runtime.launch import Launched
from boxship.runtime.memory import Memory
from boxship.runtime.program import Program


class Executor(Protocol):
    """Starts a process that performs a program."""

    def launch(
        self, program: Program, flags: int = 0, signal: int = 17, cgroup: int = 0
    ) -> tuple[int, Memory]: ...


def clone_of(plan: Plan) -> tuple[int, int, int]:
    """Return flags, signal at the end, and group of the process that a plan begins with."""
    signal = 0 if plan.flags & CLONE_PARENT else SIGCHLD  # a sibling tells as we do
    if plan.cgroup is None:
        return plan.flags, signal, 0
    return plan.flags | CLONE_INTO_CGROUP, signal, plan.cgroup


def start(executor: Executor, plan: Plan, wire: socket.socket, score: int | None) -> Launched:
    """Have a plan performed."""

    def words(index: int) -> tuple[str, str]:
        call = plan.program.calls[index]
        return call.name, call.about or call.name

    return Launched(
        lambda: executor.launch(plan.program, *clone_of(plan)),
        words,
        wire,
        score,
        master=plan.master.index if plan.master else None,
        has_second=plan.has_second,
        divides_last=plan.divides_last,
    )
