"""Who goes on while a disk is waited for.

A shim has one loop for many containers, and now and then somebody in it writes to a disk, which
may hang. So another thread stands by: when a call takes too long, it takes the loop over, and who
made the call comes back to it when the call has returned, in the middle of what it was doing.
Only one thread at a time is not within `aside`; to the others' eyes a call that takes long is a
moment in which much happens, as an await is.

Calls that are quick cost nothing but a look, and a shim whose containers log nothing has one
thread. No thread ever ends: the kernel would kill the starters that were forked from it.
"""

from __future__ import annotations

import os
from _thread import LockType, allocate_lock, start_new_thread  # no more of threads: it is memory
from collections.abc import Callable
from typing import Final, TypeVar

from boxship.kernel.timers import Alarm
from boxship.shim.loop import Loop

PATIENCE: Final = 0.05  # seconds that all wait for a call

_Answer = TypeVar("_Answer")


class Place:
    """Where a thread has left the loop for a call."""

    def __init__(self, on_leave: Callable[[], None] | None) -> None:
        self.on_leave = on_leave


class Relief:
    """Runs a loop in one thread after another."""

    def __init__(
        self,
        loop: Loop,
        has_work: Callable[[], bool],
        in_thread: Callable[[Callable[[], None]], None],
    ) -> None:
        """The loop turns for as long as `has_work`; then the process ends.

        `in_thread` runs what it is given, which returns at that end, as the first thread's does.
        """
        self._loop = loop
        self._has_work = has_work
        self._in_thread = in_thread
        self._outside: list[Place] = []  # who is at a call and has not been relieved: one at most
        self._returning = 0  # threads whose calls have returned since others have the loop
        self._turn = _taken_lock()  # held by who has the loop
        self._alarm = Alarm()  # rings when somebody shall look what takes long
        self._set_for: Place | None = None  # for whom, while it is to ring
        self._standing_by = 0
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        loop.watch(self._bell, self._on_bell)
        loop.aside = self.aside

    def lead(self) -> None:
        """Run the loop to its end, in the thread that has it."""
        while self._has_work():
            self._loop.turn()
            if self._returning:
                self._standing_by += 1
                self._turn.release()
                self._stand_by()

    def aside(
        self, call: Callable[[], _Answer], on_leave: Callable[[], None] | None = None
    ) -> _Answer:
        """Make a call that may take long. Before another goes on meanwhile, it calls `on_leave`."""
        place = Place(on_leave)
        self._outside.append(place)
        if self._set_for is None and self._has_others():
            self._set_alarm(place)
        try:
            return call()
        finally:
            if not self._takes(place):
                self._return()

    def _set_alarm(self, place: Place) -> None:
        self._set_for = place
        self._alarm.set(PATIENCE)

    def _has_others(self) -> bool:
        """Have somebody who stands by, if the kernel lets us."""
        if not self._standing_by:
            try:
                start_new_thread(self._in_thread, (self._follow,))
            except RuntimeError:
                return False
            self._standing_by += 1
        return True

    def _return(self) -> None:
        """Get the loop back, after the turn that another is in."""
        self._returning += 1
        os.eventfd_write(self._bell, 1)
        self._turn.acquire()
        self._returning -= 1
        self._loop.was_away()

    def _on_bell(self, _events: int) -> None:
        os.eventfd_read(self._bell)

    def _takes(self, place: Place) -> bool:
        """Take a place away: who does it has the loop. Nothing can come between, in Python."""
        try:
            self._outside.remove(place)
        except ValueError:
            return False
        return True

    # -- the others

    def _follow(self) -> None:
        self._stand_by()
        self.lead()

    def _stand_by(self) -> None:
        """Wait until somebody has to be relieved."""
        while True:
            self._alarm.wait()
            if self._relieves():
                return

    def _relieves(self) -> bool:
        """Look whether a call takes long, and take the loop over if so."""
        waited_for, self._set_for = self._set_for, None
        for place in self._outside[:1]:
            if place is not waited_for:
                self._set_alarm(place)
            elif self._takes(place):
                self._standing_by -= 1
                if place.on_leave:
                    self._loop.attempt(place.on_leave)
                return True
        return False


def _taken_lock() -> LockType:
    lock = allocate_lock()
    lock.acquire()
    return lock
