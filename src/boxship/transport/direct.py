"""A request's body, read straight from its socket by the thread that works on it.

Carried by the event loop each piece would be copied three times, and wait for the interpreter
twice. The loop does not look at the connection meanwhile: this thread notices who has left.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from typing import Final

from boxship.lib.pipe import Abandoned
from boxship.transport.gone import ClientGone
from boxship.wire import http

PIECE: Final = 1 << 18  # a local socket holds less


class DirectBody:
    """What is left of a body; iterated by one thread, once.

    `arrived` is payload that the loop had read; `pending` is what it had read beyond, and, when
    the body has ended, what follows it.
    """

    def __init__(self, socket: int, body: http.Body, arrived: bytes, pending: bytes) -> None:
        self._socket = os.dup(socket)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._body = body
        self._arrived = arrived
        self.pending = bytearray(pending)
        self.received = 0

    def __del__(self) -> None:
        for file in (getattr(self, "_socket", -1), getattr(self, "_stop", -1)):
            if file >= 0:
                os.close(file)

    def stop(self) -> None:
        """Let the thread meet Abandoned where it waits."""
        os.eventfd_write(self._stop, 1)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body; ClientGone where it ends too early."""
        if self._arrived:
            yield self._arrived
        body, pending = self._body, self.pending
        piece = body.feed(pending)
        while True:
            if piece:
                self.received += len(piece)
                yield piece
            if body.done:
                return
            if not pending and body.ahead >= PIECE:
                piece = self._read()
                body.passed(len(piece))
            else:
                pending += self._read()
                piece = body.feed(pending)

    def _read(self) -> bytes:
        """Return what there is, once there is something."""
        while True:
            try:
                if data := os.read(self._socket, PIECE):
                    return data
            except BlockingIOError:
                self._wait()
                continue
            except ConnectionError as error:
                raise ClientGone from error
            raise ClientGone

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        if any(file == self._stop for file, _ in poll.poll()):
            raise Abandoned
