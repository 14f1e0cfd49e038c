"""Bytes from an event loop to a thread, a bounded number of them at a time."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from typing import Final

from boxship.lib.pipe import Abandoned

ROOM: Final = 4 << 20


class Feed:
    """A coroutine writes, one thread reads; either may end it, and the other notices."""

    def __init__(self, room: int = ROOM) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = room
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._abandoned = False
        self._error: BaseException | None = None
        self._after = False
        self._changed = threading.Condition()
        self._drained = asyncio.Event()

    async def put(self, piece: bytes) -> None:
        """Hand over a piece, once there is room for it; Abandoned when nobody reads any more."""
        while True:
            with self._changed:
                if self._abandoned:
                    raise Abandoned
                if self._held < self._room:
                    self._pieces.append(piece)
                    self._held += len(piece)
                    self._changed.notify()
                    return
                self._drained.clear()
            await self._drained.wait()

    def end(self, error: BaseException | None = None, *, after: bool = False) -> None:
        """There is no more; with an error, the reader meets it in place of what is not read yet.

        Or `after` that.
        """
        with self._changed:
            self._ended = True
            self._error = error
            self._after = after
            self._changed.notify()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces until the writer's end; leaving early abandons the rest."""
        try:
            while (piece := self._next()) is not None:
                yield piece
        finally:
            with self._changed:
                self._abandoned = True
                self._pieces.clear()
                self._wake()

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._pieces or self._ended)
            if self._error is not None and not (self._after and self._pieces):
                raise self._error
            if not self._pieces:
                return None
            piece = self._pieces.popleft()
            full = self._held >= self._room
            self._held -= len(piece)
            if full and self._held < self._room:
                self._wake()
            return piece

    def _wake(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._drained.set)
