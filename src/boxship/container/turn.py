"""Turns: changes to one container come one after the other, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from boxship.container.errors import Busy

PATIENCE: Final = 60.0  # seconds


class Turn:
    """Who may change a container now; `verb` says what for."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._since = 0.0
        self.verb = ""

    @asynccontextmanager
    async def take(self, verb: str, ref: str, within: float = PATIENCE) -> AsyncIterator[None]:
        """Wait for the turn; Busy, naming what is under way, when it does not come in time."""
        if self._lock.locked():
            try:
                async with asyncio.timeout(within):
                    await self._lock.acquire()
            except TimeoutError:
                raise Busy(ref, self.verb, time.monotonic() - self._since) from None
        else:
            await self._lock.acquire()
        self.verb, self._since = verb, time.monotonic()
        try:
            yield
        finally:
            self.verb = ""
            self._lock.release()
