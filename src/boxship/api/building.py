"""The builder as the API has it: put together when somebody builds first, and not before.

Its modules are a third of the engine's; a daemon that never builds starts without them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boxship.build.builder import Builder
    from boxship.build.intermediate import Intermediates
    from boxship.build.uploads import Uploads
    from boxship.content.store import Blobs


@dataclass(frozen=True, slots=True)
class Tools:
    """What builds by."""

    builder: Builder
    uploads: Uploads
    intermediates: Intermediates
    blobs: Blobs
    past: str  # the folder with what is kept of builds that have ended
    begin: Callable[[str, Coroutine[Any, Any, None]], object]  # work that nobody waits for


class Building:
    """Gives the builder to whoever needs it."""

    def __init__(self, put_together: Callable[[], Awaitable[Tools]]) -> None:
        self._put_together = put_together
        self._turn = asyncio.Lock()
        self._tools: Tools | None = None

    async def tools(self) -> Tools:
        """Return what builds; the first call takes some tenths of a second."""
        async with self._turn:
            if self._tools is None:
                self._tools = await self._put_together()
            return self._tools

    @property
    def running(self) -> set[str]:
        """The processes that builds run now, as containers of their own."""
        return self._tools.builder.running if self._tools else set()
