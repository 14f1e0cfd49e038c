"""A loop over poll(2): the whole of what a shim waits for."""

from __future__ import annotations

import select
from collections.abc import Callable
from select import POLLIN
from time import monotonic
from typing import NamedTuple, Protocol, TypeVar

Callback = Callable[[int], None]
_Answer = TypeVar("_Answer")


class Aside(Protocol):
    """Makes a call that may take long, where others may go on with the loop meanwhile."""

    def __call__(
        self, call: Callable[[], _Answer], on_leave: Callable[[], None] | None = None
    ) -> _Answer: ...


def here(call: Callable[[], _Answer], on_leave: Callable[[], None] | None = None) -> _Answer:
    """Make a call that all wait for."""
    return call()


class Moment(NamedTuple):
    """When something is to be done, and what."""

    due: float
    callback: Callable[[], None]


class Loop:
    """Calls back when descriptors are ready or moments have come; one thread, no queue.

    What a callback raises goes to `on_error`, and its descriptor is not watched any more: one
    broken stream must not end the container.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._poll = select.poll()
        self._watched: dict[int, Callback] = {}
        self._later: list[Moment] = []
        self._chores: list[Callable[[], bool]] = []
        self._has_more = False
        self._absences = 0
        self._on_error = on_error
        self.aside: Aside = here

    def was_away(self) -> None:
        """Others have turned the loop while a callback was at a call: poll has to be asked anew."""
        self._absences += 1

    def watch(self, fd: int, callback: Callback, events: int = POLLIN) -> None:
        """Call `callback` with what poll(2) says of `fd`; watching again replaces."""
        self._poll.register(fd, events)
        self._watched[fd] = callback

    def forget(self, fd: int) -> None:
        """Stop watching `fd`, if it was watched; to be called before it is closed."""
        if self._watched.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> Moment:
        """Call back once, after a while."""
        moment = Moment(monotonic() + seconds, callback)
        self._later.append(moment)
        return moment

    def cancel(self, moment: Moment) -> None:
        """Do not call back, if that has not been done."""
        self._later = [other for other in self._later if other is not moment]

    def after_each_turn(self, chore: Callable[[], bool]) -> None:
        """Call `chore` after every turn; it returns whether it has more to do at once."""
        self._chores.append(chore)

    def forget_chore(self, chore: Callable[[], bool]) -> None:
        """Stop to call `chore`, if it was called."""
        if chore in self._chores:
            self._chores.remove(chore)

    def turn(self) -> None:
        """Wait for the next thing to happen and deal with it."""
        ready = self._poll.poll(self._patience())
        absences = self._absences
        for fd, events in ready:
            # An earlier callback of this turn may have forgotten this one.
            if callback := self._watched.get(fd):
                self._call(callback, fd, events)
            if self._absences != absences:
                break
        if self._later:
            self._run_due()
        waiting = [
            self._run(chore) for chore in list(self._chores)
        ]  # every one, whatever the others say
        self._has_more = any(waiting)

    def _call(self, callback: Callback, fd: int, events: int) -> None:
        try:
            callback(events)
        except Exception as failure:
            self.forget(fd)
            self._on_error(failure)

    def _patience(self) -> float | None:
        """Return for how many milliseconds poll may wait."""
        if self._has_more:
            return 0
        if not self._later:
            return None
        return max(0.0, min(moment.due for moment in self._later) - monotonic()) * 1000 + 1

    def _run_due(self) -> None:
        now = monotonic()
        due = [moment for moment in self._later if moment.due <= now]
        self._later = [moment for moment in self._later if moment.due > now]
        for moment in due:
            self.attempt(moment.callback)

    def _run(self, chore: Callable[[], bool]) -> bool:
        try:
            return chore()
        except Exception as failure:
            self.forget_chore(chore)
            self._on_error(failure)
            return False

    def attempt(self, what: Callable[[], None]) -> None:
        """Do something on which nothing else here shall depend."""
        try:
            what()
        except Exception as failure:
            self._on_error(failure)
