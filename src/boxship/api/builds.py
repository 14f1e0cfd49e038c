"""Builds that are under way, by the numbers their clients gave them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from boxship.api.render.numbers import Numbers
from boxship.errors import BoxshipError, NotFound


class Cancelled(BoxshipError):
    """The build was stopped by somebody who asked for that."""

    def __init__(self) -> None:
        super().__init__("context canceled")


class Builds:
    """Lets a build be cancelled from another connection."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        self._running: dict[str, asyncio.Task[object]] = {}
        self._cancelled: set[str] = set()

    @contextmanager
    def named(self, id: str) -> Iterator[None]:
        """The caller's task is the build of this number, while the block runs."""
        task = asyncio.current_task()
        if not id or task is None:
            yield
            return
        self._running[id] = task
        try:
            yield
        except asyncio.CancelledError:
            if id not in self._cancelled:
                raise  # it is the client that has gone
            task.uncancel()
            raise Cancelled from None
        finally:
            self._cancelled.discard(id)
            if self._running.get(id) is task:
                del self._running[id]

    def cancel(self, id: str) -> None:
        """Stop a build; NotFound where there is none of this number."""
        task = self._running.get(id)
        if task is None:
            raise NotFound(f"no such build: {id[:100]}")
        self._cancelled.add(id)
        task.cancel()
