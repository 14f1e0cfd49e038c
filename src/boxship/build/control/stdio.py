"""A program's standard input and output as what a connection travels by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from boxship.build.running.talk import Streams, Talk

STDERR: Final = 2
PIECES: Final = 16  # of output that wait to be read; the program waits meanwhile


class Stdio:
    """A Carrier. What the program writes to its standard error goes to `heard`."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self.talk = Talk(self._hear, Streams(stdin=True))
        self.silent = False  # it has closed its output, most often by ending
        self._heard = heard
        self._came: asyncio.Queue[bytes] = asyncio.Queue(PIECES)

    async def _hear(self, stream: int, data: bytes) -> None:
        if stream == STDERR:
            self._heard(data)
        else:
            self.silent = self.silent or not data
            await self._came.put(data)

    async def take(self) -> bytes:
        """Return what the program has written, nothing when it has closed its output."""
        return await self._came.get()

    async def give(self, data: bytes) -> None:
        """Write to the program, once it runs."""
        await asyncio.shield(self.talk.begun)
        await self.talk.write(data)
