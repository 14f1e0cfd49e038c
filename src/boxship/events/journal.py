"""The journal of what happened: the last 256 events, and whoever is listening.

Publishing never waits. A listener that does not keep up is cut off, with an error of its own, once
more than a few thousand events wait for it; the others do not notice.

No two events have the same time, whatever the clock does: a reader that comes again goes on where
it was, one nanosecond after the last that it has seen.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final
from weakref import WeakSet

from boxship.errors import InvalidRequest, Unavailable
from boxship.events.selection import KEYS, Wanted, matches
from boxship.lib import timestamps
from boxship.spec.engine.system import EventActor, EventMessage

HISTORY: Final = 256
WAITING_LIMIT: Final = 4096
SECOND: Final = 1_000_000_000


class Overrun(Unavailable):
    """A listener took so long that events had to be dropped."""

    def __init__(self) -> None:
        super().__init__("the events were not read fast enough")


class Listener:
    """One reader's queue; filled from any thread, emptied on its event loop."""

    def __init__(self, wanted: Wanted, loop: asyncio.AbstractEventLoop) -> None:
        self.wanted = wanted
        self.overrun = False
        self._queue: deque[EventMessage] = deque()
        self._news = asyncio.Event()
        self._loop = loop

    def put(self, event: EventMessage) -> None:
        """Queue an event, if it is wanted; called with the journal's lock held."""
        if self.overrun or not matches(event, self.wanted):
            return
        self._queue.append(event)
        self.overrun = len(self._queue) > WAITING_LIMIT
        if len(self._queue) == 1 or self.overrun:
            self._loop.call_soon_threadsafe(self._news.set)

    async def take(self) -> EventMessage:
        """Return the next event, waiting for one."""
        while not self._queue:
            self._news.clear()
            if not self._queue:
                await self._news.wait()
        if self.overrun:
            raise Overrun
        return self._queue.popleft()


class Journal:
    """What happened in the engine; `publish` may be called from any thread."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._turn = threading.Lock()
        self._history: deque[EventMessage] = deque(maxlen=HISTORY)
        self.published = 0
        self._latest = 0
        self._listeners: WeakSet[Listener] = WeakSet()  # a stream nobody holds has ended

    @property
    def listeners(self) -> int:
        """How many are listening now."""
        return len(self._listeners)

    def publish(
        self, type: str, action: str, id: str, attributes: Mapping[str, str], scope: str = "local"
    ) -> None:
        """Write down that something happened just now, and tell the listeners."""
        with self._turn:
            now = self._latest = max(self._clock(), self._latest + 1)
            event = EventMessage(
                type=type,
                action=action,
                actor=EventActor(id=id, attributes=dict(attributes)),
                scope=scope,
                time=now // SECOND,
                time_nano=now,
            )
            self._history.append(event)
            self.published += 1
            for listener in self._listeners:
                listener.put(event)

    def stream(self, since: str = "", until: str = "", wanted: Wanted = {}) -> Stream:  # noqa: B006
        """Return the events that pass `wanted`, as they happen.

        With `since` or `until` those of the history come first; with `until` the stream ends.
        Listening begins now and not with the first event that is taken.
        """
        for key in wanted:
            if key not in KEYS:
                raise InvalidRequest(f"invalid filter '{key}'")
        now = self._clock()
        begin, end = _moment("since", since, now), _moment("until", until, now)
        if begin is not None and end is not None and begin > end:
            raise InvalidRequest(f"since time ({since}) cannot be after until time ({until})")
        return Stream(self, wanted, begin, end)

    def join(self, listener: Listener, begin: int | None, end: int | None) -> list[EventMessage]:
        """Add a listener; return what it has missed of the time it asks for."""
        with self._turn:
            missed: list[EventMessage] = []
            if begin is not None or end is not None:
                missed = [
                    event
                    for event in self._history
                    if (begin or 0) <= (event.time_nano or 0)
                    and (end is None or (event.time_nano or 0) <= end)
                    and matches(event, listener.wanted)
                ]
            self._listeners.add(listener)
            return missed

    def leave(self, listener: Listener) -> None:
        """Forget a listener."""
        with self._turn:
            self._listeners.discard(listener)

    def seconds_until(self, moment: int) -> float:
        """Return how long it is until a moment; negative when it is past."""
        return (moment - self._clock()) / SECOND


class Stream:
    """One reading of the journal; `close` it, or iterate it to its end."""

    def __init__(
        self, journal: Journal, wanted: Wanted, begin: int | None, end: int | None
    ) -> None:
        self._journal = journal
        self._end = end
        self._listener = Listener(wanted, asyncio.get_running_loop())
        self._missed = journal.join(self._listener, begin, end)

    async def __aiter__(self) -> AsyncIterator[EventMessage]:
        try:
            for event in self._missed:
                yield event
            self._missed = []
            if self._end is None:
                while True:
                    yield await self._listener.take()
            left = self._journal.seconds_until(self._end)
            if left <= 0:
                return
            deadline = asyncio.get_running_loop().time() + left
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        event = await self._listener.take()
                except TimeoutError:
                    return
                yield event
        finally:
            self.close()

    def close(self) -> None:
        """Stop listening."""
        self._journal.leave(self._listener)


def _moment(name: str, text: str, now: int) -> int | None:
    if not text or text == "0":
        return None
    try:
        return timestamps.parse(text, now)
    except ValueError as error:
        raise InvalidRequest(f"invalid value for {name!r}: {error}") from error
