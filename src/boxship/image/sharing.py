"""Work that several want at the same time and that is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Running(Generic[T]):
    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiting = 0


class Shared(Generic[K, T]):
    """What is running, by what it is for; it goes on for as long as somebody waits for it."""

    def __init__(self) -> None:
        self._running: dict[K, _Running[T]] = {}

    async def join(
        self, key: K, begin: Callable[[], Coroutine[Any, Any, T]], *, again: bool = True
    ) -> T:
        """Return what the work gives; begin it unless it runs already.

        Work that somebody else began may fail for reasons of theirs: then it is begun `again`.
        Whoever leaves last ends it, and stays until it has ended.
        """
        while True:
            running = self._running.get(key)
            own = running is None
            if running is None:
                running = _Running(asyncio.create_task(begin()))
                self._running[key] = running
            try:
                return await self._wait(key, running)
            except asyncio.CancelledError:
                raise
            except BaseException:
                if own or not again:
                    raise

    async def _wait(self, key: K, running: _Running[T]) -> T:
        running.waiting += 1
        try:
            return await asyncio.shield(running.task)
        finally:
            running.waiting -= 1
            if running.task.done() or not running.waiting:
                if self._running.get(key) is running:
                    del self._running[key]
                if not running.task.done():
                    running.task.cancel()
                    await asyncio.wait([running.task])
