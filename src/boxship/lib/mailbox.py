"""From any thread to an event loop's, in one visit for as much as there is."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Calls `take` in the loop's thread for each thing that is put in, in their order.

    To be made in the loop. A thing that is put in by the loop itself wakes nobody up.
    """

    def __init__(self, take: Callable[[T], object]) -> None:
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._things: deque[T] = deque()
        self._is_due = False

    def put(self, thing: T) -> None:
        """Put something in; from any thread, never blocks."""
        self._things.append(thing)
        if self._is_due:
            return
        self._is_due = True
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self.flush)
        else:
            self._loop.call_soon_threadsafe(self.flush)

    def flush(self) -> None:
        """Take what is there now; in the loop's thread."""
        self._is_due = False  # what comes from now on sees to it itself
        try:
            for _ in range(len(self._things)):
                self._take(self._things.popleft())
        except Exception:
            self._loop.call_soon(self.flush)  # the rest is not lost
            raise
