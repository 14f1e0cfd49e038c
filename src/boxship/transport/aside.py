"""A file's bytes go to a socket beside the event loop, which waits for no disk.

A thread sends for as long as the client takes what is sent; while the client pauses, no thread
waits for it.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from contextlib import suppress
from typing import Final

from boxship.lib.filepart import FilePart
from boxship.lib.finishing import finished
from boxship.transport.gone import ClientGone

SEGMENT: Final = 8 << 20  # at once; a client that has left is noticed between two
PATIENCE: Final = 50  # milliseconds that a thread waits for the client


async def send(sock: socket.socket, part: FilePart) -> None:
    """Send all of a part to a socket that nobody else writes to meanwhile; `ClientGone`."""
    own = os.dup(sock.fileno())  # whatever becomes of the connection, this stays the same socket
    try:
        at = 0
        while at < part.size:
            at = await finished(lambda at=at: _send(own, part, at))  # type: ignore[misc]
            if at < part.size:
                await _writable(own)
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
