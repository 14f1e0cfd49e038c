"""One process that somebody talks with while it runs: its input, its terminal, signals, its end."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from boxship.build.needs import Shim
from boxship.shim.client import ShimEvent
from boxship.shim.protocol import Attachment
from boxship.wire.multiplex import Demultiplexer, Stream

CHUNK: Final = 1 << 16

Hear = Callable[[int, bytes], Awaitable[None]]
"""Takes output, stream 1 or 2; the process waits while it does not return. No data is the end."""


@dataclass(frozen=True, slots=True)
class Streams:
    """What a process is connected to; its output always."""

    stdin: bool = False
    tty: bool = False


class Talk:
    """What is said to one process, and by it.

    ended: set for a process that has joined another, by whoever hears of its end. others: hears
    of those that have joined this one.
    """

    def __init__(self, hear: Hear, streams: Streams) -> None:
        loop = asyncio.get_running_loop()
        self.target = secrets.token_hex(16)  # unless it is a container's first
        self.streams = streams
        self.begun: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        self.others: Callable[[ShimEvent], None] | None = None
        self._hear = hear
        self._loop = loop
        self._shim: Shim | None = None
        self._ours: socket.socket | None = None

    @property
    def attachment(self) -> Attachment:
        tty = self.streams.tty
        return Attachment(
            stdin=self.streams.stdin,
            stdout=True,
            stderr=not tty,
            multiplex=not tty,
            detach_keys=b"",
        )

    @property
    def shim(self) -> Shim | None:
        """The keeper of the process, once it has begun."""
        return self._shim

    def begin(self, shim: Shim, ours: socket.socket) -> None:
        """The process runs, and `ours` leads to it."""
        ours.setblocking(False)
        self._shim, self._ours = shim, ours
        if not self.begun.done():
            self.begun.set_result(None)

    def tell_others(self, event: ShimEvent) -> None:
        """Pass on what the keeper tells of other processes than this."""
        if self.others is not None:
            self.others(event)

    async def listen(self) -> None:
        """Pass on what the process writes until it is all there."""
        assert self._ours is not None
        frames = Demultiplexer()
        while data := await self._read(self._ours):
            if self.streams.tty:
                await self._hear(int(Stream.STDOUT), data)
                continue
            for frame in frames.feed(data):
                await self._hear(int(frame.stream), frame.payload)
        await self._hear(int(Stream.STDOUT), b"")

    async def _read(self, ours: socket.socket) -> bytes:
        """Return what has been written, nothing at the end."""
        try:
            return await self._loop.sock_recv(ours, CHUNK)
        except ConnectionResetError:  # it ended without having read all that it was sent
            return b""

    async def write(self, data: bytes) -> None:
        """Give the process input; returns when it can take more. Nothing where it takes none."""
        if self._ours is not None and self.streams.stdin:
            try:
                await self._loop.sock_sendall(self._ours, data)
            except OSError:  # it has ended, or has closed its input
                return

    def finish(self) -> None:
        """Say that no more input comes."""
        if self._ours is not None and self.streams.stdin:
            try:
                self._ours.shutdown(socket.SHUT_WR)
            except OSError:
                return

    async def resize(self, height: int, width: int) -> None:
        """Set the size of the process's terminal."""
        if self._shim is not None:
            await self._shim.resize(self.target, height, width)

    async def signal(self, number: int) -> None:
        """Send the process a signal."""
        if self._shim is not None:
            await self._shim.signal(self.target, number)
