"""A process and all that came of it, so that they can be ended together."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from boxship.kernel.processes import open_pidfd, send_signal

ROUNDS: Final = 16  # a family that grows faster than it is stopped is killed as it is then


@dataclass(frozen=True, slots=True)
class Member:
    """What tells to whom a process belongs; `started` makes its number unique."""

    parent: int
    session: int
    started: int


def kill(pid: int, among: Callable[[], Collection[int]]) -> None:
    """Kill a process with its family; nobody who is not `among` the pids given is touched.

    They are stopped before they are killed, and looked for until nobody is new: one that could
    go on would fork children whose parent is lost.
    """
    stopped: dict[int, Member] = {}
    for _ in range(ROUNDS):
        every = {number: member for number in among() if (member := look(number))}
        new = {number: every[number] for number in family(pid, every) if number not in stopped}
        if not new:
            break
        for number, member in new.items():
            _send(number, member, signal.SIGSTOP)
        stopped |= new
    for number, member in stopped.items():
        _send(number, member, signal.SIGKILL)


def family(pid: int, every: Mapping[int, Member]) -> set[int]:
    """Return the process, its descendants, and who is in the session that it leads."""
    if pid not in every:
        return set()
    leads = every[pid].session == pid
    found = {pid} | {number for number, one in every.items() if leads and one.session == pid}
    while more := {n for n, one in every.items() if one.parent in found and n not in found}:
        found |= more
    return found


def look(pid: int) -> Member | None:
    """Return what the kernel says of a process, None when it is gone or only waits for its end."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in b"ZX":
        return None
    return Member(int(fields[1]), int(fields[3]), int(fields[19]))


def _send(pid: int, member: Member, number: int) -> None:
    with suppress(ProcessLookupError):
        pidfd = open_pidfd(pid)
        try:
            now = look(pid)
            if now is not None and now.started == member.started:
                send_signal(pidfd, number)
        finally:
            os.close(pidfd)
