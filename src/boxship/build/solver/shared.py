"""Work that several builds ask for at the same time is done once.

It goes on while anybody waits for it; when the last who does gives up, it is cancelled, and that
one waits until it has cleaned up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
Say = Callable[[object], None]
KEPT = 2000  # of what was said, for those who join later


@dataclass(slots=True)
class _Work(Generic[T]):
    task: asyncio.Task[T] | None = None
    listeners: list[Say] = field(default_factory=list)
    said: list[object] = field(default_factory=list)

    def say(self, word: object) -> None:
        """Tell everybody; from any thread."""
        if len(self.said) < KEPT:
            self.said.append(word)
        for listener in list(self.listeners):
            listener(word)


class Shared(Generic[T]):
    """Work by key; belongs to one event loop."""

    def __init__(self) -> None:
        self._works: dict[str, _Work[T]] = {}

    async def do(self, key: str, work: Callable[[Say], Awaitable[T]], listener: Say) -> T:
        """Return what `work` returns, done now for all who ask by this key."""
        shared = self._works.get(key)
        if shared is None:
            shared = self._works[key] = _Work()
            shared.task = asyncio.create_task(self._run(key, shared, work), name=f"build {key}")
        for word in list(shared.said):
            listener(word)
        shared.listeners.append(listener)
        assert shared.task is not None
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.listeners.remove(listener)
            if not shared.listeners and not shared.task.done():
                if self._works.get(key) is shared:
                    del self._works[key]
                shared.task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await asyncio.shield(shared.task)

    async def _run(self, key: str, shared: _Work[T], work: Callable[[Say], Awaitable[T]]) -> T:
        try:
            return await work(shared.say)
        finally:
            if self._works.get(key) is shared:
                del self._works[key]
