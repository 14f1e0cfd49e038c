"""The log of a process's streams, as its keeper uses it: what it does may wait for a disk.

While it does, others go on with the loop, and the log is busy: nothing more is read of this
program, as if all waited, and whoever needs the log waits for it.
"""

from __future__ import annotations

from _thread import LockType, allocate_lock
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from boxship.shim.journal import Journal
from boxship.shim.loop import Loop

_Answer = TypeVar("_Answer")


class Log:
    """A journal, or none, of which only one thing is asked at a time."""

    def __init__(self, loop: Loop, journal: Journal | None, on_delay: Callable[[], None]) -> None:
        """`on_delay` is called when others go on because the log takes long."""
        self._loop = loop
        self._journal = journal
        self._on_delay = on_delay
        self._busy: LockType | None = None  # there, and held, for as long as others go on

    def __bool__(self) -> bool:
        return self._journal is not None

    @property
    def is_busy(self) -> bool:
        return self._busy is not None

    @property
    def lost(self) -> int:
        """How many bytes of records a full disk did not take."""
        return self._journal.lost if self._journal else 0

    def write(self, stream: int, data: bytes) -> None:
        """Take the next output of a stream."""
        if self._journal:
            self._do(partial(self._journal.write, stream, data))

    def finish(self) -> None:
        """Write what has no end yet and close the files, unless that has been done."""
        if self._journal and not self._journal.is_finished:
            self._do(self._journal.finish)

    def tidy(self) -> bool:
        """Do a little of what can wait; False when there is nothing to do now."""
        if self._journal is None or self._busy or not self._journal.is_untidy:
            return False
        return self._do(self._journal.tidy)

    def wait(self) -> None:
        """Wait until it has done what it does."""
        while busy := self._busy:
            self._loop.aside(partial(_pass, busy))

    def _do(self, call: Callable[[], _Answer]) -> _Answer:
        self.wait()
        try:
            return self._loop.aside(call, self._delay)
        finally:
            if self._busy:
                self._busy.release()
                self._busy = None

    def _delay(self) -> None:
        self._busy = allocate_lock()
        self._busy.acquire()
        self._on_delay()


def _pass(lock: LockType) -> None:
    """Wait until nobody holds a lock."""
    with lock:
        pass
