"""Bytes go to a socket beside the event loop: a file's, and those that an iterator makes.

The loop waits for no disk, and copies nothing. A thread sends for as long as the client takes what
is sent; while the client pauses, no thread waits for it.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from boxship.lib.filepart import FilePart
from boxship.lib.finishing import finished
from boxship.transport.gone import ClientGone

SEGMENT: Final = 8 << 20  # at once; a client that has left is noticed between two
PATIENCE: Final = 50  # milliseconds that a thread waits for the client


async def send(sock: socket.socket, part: FilePart) -> None:
    """Send all of a part to a socket that nobody else writes to meanwhile; `ClientGone`."""
    with _own(sock) as own:
        at = 0
        while at < part.size:
            at = await finished(lambda at=at: _send(own, part, at))  # type: ignore[misc]
            if at < part.size:
                await _writable(own)


async def send_made(sock: socket.socket, made: Iterator[bytes], *, chunked: bool) -> None:
    """Send what an iterator makes, each piece as a chunk if so; closes the iterator at the end.

    As with `send`, nobody else writes to the socket meanwhile; `ClientGone`.
    """
    sending = _Made(made, chunked=chunked)
    try:
        with _own(sock) as own:
            while True:
                await finished(lambda: sending.go_on(own))
                if sending.is_over:
                    break
                await _writable(own)
    finally:
        if not sending.is_over:
            await finished(sending.close)


@contextmanager
def _own(sock: socket.socket) -> Iterator[int]:
    """Have a descriptor that stays the same socket, whatever becomes of the connection."""
    own = os.dup(sock.fileno())
    try:
        yield own
    except OSError as error:
        raise ClientGone("the client does not take what is sent") from error
    finally:
        os.close(own)


def _send(sock: int, part: FilePart, at: int) -> int:
    """Send from `at` on until the end, the end of a segment, or a pause; return how far it is."""
    waiting = select.poll()
    waiting.register(sock, select.POLLOUT)
    end = min(part.size, at + SEGMENT)
    while at < end:
        try:
            sent = os.sendfile(sock, part.file, at, end - at)
        except BlockingIOError:
            if not waiting.poll(PATIENCE):
                break
            continue
        if not sent:
            raise OSError("the file is shorter than was said")
        at += sent
    return at


class _Made:
    """What an iterator makes, on its way."""

    def __init__(self, made: Iterator[bytes], *, chunked: bool) -> None:
        self._made = made
        self._chunked = chunked
        self._left: list[bytes | memoryview] = []  # of the piece that is being sent
        self.is_over = False  # all of it is sent

    def go_on(self, sock: int) -> None:
        """Send until the end, the end of a segment, or a pause."""
        waiting = select.poll()
        waiting.register(sock, select.POLLOUT)
        total = 0
        while total < SEGMENT:
            if not self._left:
                piece = next(self._made, b"")
                if not piece:
                    self.is_over = True
                    return
                self._left = [b"%x\r\n" % len(piece), piece, b"\r\n"] if self._chunked else [piece]
            try:
                sent = os.writev(sock, self._left)
            except BlockingIOError:
                if not waiting.poll(PATIENCE):
                    break
                continue
            total += sent
            self._pass(sent)

    def _pass(self, sent: int) -> None:
        left = self._left
        while left and sent >= len(left[0]):
            sent -= len(left.pop(0))
        if sent:
            left[0] = memoryview(left[0])[sent:]

    def close(self) -> None:
        if isinstance(self._made, Generator):
            self._made.close()


async def _writable(sock: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        with suppress(asyncio.InvalidStateError):
            ready.set_result(None)

    loop.add_writer(sock, wake)
    try:
        await ready
    finally:
        loop.remove_writer(sock)
