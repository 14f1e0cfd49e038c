"""Bytes from one thread to another, a bounded number of them at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Final

ROOM: Final = 4 << 20


class Abandoned(Exception):
    """The reader has gone; nobody wants what is written."""


class Pipe:
    """One writer, one reader; either may end it, and the other notices."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._abandoned = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, piece: bytes) -> None:
        """Hand over a piece; wait while there is no room for it."""
        self.wait()
        self.offer(piece)

    def offer(self, piece: bytes) -> bool:
        """Hand over a piece at once; say whether there is room for another."""
        with self._changed:
            if self._abandoned:
                raise Abandoned
            if piece:
                self._pieces.append(piece)
                self._held += len(piece)
                self._changed.notify_all()
            return self._held < self._room

    def wait(self) -> None:
        """Return when there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned or self._held < self._room)
            if self._abandoned:
                raise Abandoned

    def end(self, error: BaseException | None = None) -> None:
        """There is no more; with an error, the reader meets it after the last piece."""
        with self._changed:
            self._ended = True
            self._error = error
            self._changed.notify_all()

    def abandon(self) -> None:
        """Tell the writer that nothing will be read any more."""
        with self._changed:
            self._abandoned = True
            self._pieces.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces until the writer's end; leaving early abandons the rest."""
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._pieces or self._ended)
                    if not self._pieces:
                        if self._error is not None:
                            raise self._error
                        return
                    piece = self._pieces.popleft()
                    self._held -= len(piece)
                    self._changed.notify_all()
                yield piece
        finally:
            self.abandon()
