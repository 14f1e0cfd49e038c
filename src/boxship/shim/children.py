"""The children of a keeper: those it knows are told of by descriptor, the others are waited for.

Others are orphans of containers that share the host's processes, and what a starter made on the
way to a program. Nobody asks how they ended. But one that has ended may be a program of which its
starter has not told yet: while jobs are on their way, only those are waited for that were there
before all of these began.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from boxship.kernel import processes
from boxship.shim.loop import Loop

LOOKS: Final = 0.05  # seconds between looks at those that have to wait

OnEnd = Callable[[int], None]
"""Called with the status of wait(2)."""


class Children:
    """All children of this process."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._known: dict[int, tuple[int, OnEnd]] = {}  # by pid, with its descriptor
        self._pending: set[int] = set()  # jobs, by number
        self._last = 0
        self._seen: dict[int, int] = {}  # strange children, with the last job that had begun then
        self._looks = False
        self._owes = False  # whether somebody has ended since all were waited for
        self._wakeups, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)
        loop.watch(self._wakeups, self._on_signal)

    def close(self) -> None:
        """Let another be made in this process, or in a copy of it."""
        self._loop.forget(self._wakeups)
        os.close(signal.set_wakeup_fd(-1))
        os.close(self._wakeups)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def add(self, pid: int, pidfd: int, on_end: OnEnd) -> None:
        """Tell once when a child has ended; its descriptor stays the caller's."""
        self._known[pid] = pidfd, on_end

        def look(_events: int) -> None:
            status = processes.take_end(pid, pidfd)
            if status is not None:
                self._tell(pid, status)

        self._loop.watch(pidfd, look)

    def _tell(self, pid: int, status: int) -> None:
        if known := self._known.pop(pid, None):
            pidfd, on_end = known
            self._loop.forget(pidfd)
            self._loop.attempt(lambda: on_end(status))

    def kill(self, pid: int, within: float) -> None:
        """Kill a child, and tell of its end now."""
        if known := self._known.get(pid):
            pidfd, _ = known
            processes.send_signal(pidfd, signal.SIGKILL)
            processes.has_ended(pidfd, within)
            status = processes.take_end(pid, pidfd)
            self._tell(pid, signal.SIGKILL if status is None else status)

    # -- those that nobody knows

    def begin(self) -> int:
        """Note that there may soon be a child that is told of later; return a number for it."""
        self._last += 1
        self._pending.add(self._last)
        return self._last

    def finish(self, number: int) -> None:
        """Note that this child is known, or will never be."""
        self._pending.discard(number)
        if self._pending:
            self._take_old()
        elif self._owes:
            self._take_all()

    def _on_signal(self, _events: int) -> None:
        with suppress(BlockingIOError):
            while os.read(self._wakeups, 512):
                pass
        self._owes = True
        if not self._pending:
            self._take_all()
            return
        self._note()
        if not self._looks:
            self._looks = True
            self._loop.after(LOOKS, self._look)

    def _take_all(self) -> None:
        self._owes = False
        self._seen.clear()
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG | processes.ANY_CHILD)
                if not pid:
                    return
                self._tell(pid, status)

    def _note(self) -> None:
        """Note which strange children there are."""
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", "rb", buffering=0) as file:
                now = {int(pid) for pid in file.read().split()}.difference(self._known)
        except FileNotFoundError:
            return  # this kernel does not tell: all are waited for when no job is on its way
        self._seen = {pid: self._seen.get(pid, self._last) for pid in now}

    def _look(self) -> None:
        self._looks = False
        self._take_old()
        if self._seen:
            self._looks = True
            self._loop.after(LOOKS, self._look)

    def _take_old(self) -> None:
        """Wait for those that were there before all that is pending now.

        What is pending may itself wait for them: a container's first process ends when all others
        in it have been waited for.
        """
        oldest = min(self._pending, default=self._last + 1)
        for pid, last in list(self._seen.items()):
            if last < oldest:
                del self._seen[pid]
                if pid not in self._known:
                    reap(pid)


def reap(pid: int) -> None:
    """Wait for a child that has ended, and that nobody asks for."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG | processes.ANY_CHILD)


def _nothing(_number: int, _frame: object) -> None:
    pass
