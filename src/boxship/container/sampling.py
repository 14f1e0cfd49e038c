"""Sampling: one sample a second of each container that somebody watches, shared by all watchers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Final

from boxship.container import stats
from boxship.container.containers import Containers
from boxship.container.registry import Cell
from boxship.model.ids import ContainerId
from boxship.spec.engine.container import ContainerStatsResponse

PERIOD: Final = 1.0  # seconds


@dataclass(slots=True)
class _Source:
    """The samples of one container while somebody watches; `task` takes them."""

    watchers: int = 0
    latest: ContainerStatsResponse | None = None
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def publish(self, sample: ContainerStatsResponse | None) -> None:
        """Let the watchers see a sample; None: there will be no more."""
        self.latest = sample
        for future in self.waiting:
            if not future.done():
                future.set_result(None)
        self.waiting.clear()

    async def wait_next(self) -> None:
        """Wait until a sample was published."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        await future


class Sampler:
    """Tells what containers use."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._sources: dict[ContainerId, _Source] = {}

    async def once(self, ref: str) -> ContainerStatsResponse:
        """Return one sample, with nothing to compare it with."""
        return await self._sample(self._containers.find(ref))

    async def pair(self, ref: str) -> ContainerStatsResponse:
        """Return a sample with the one a period before; a container without process has none."""
        cell = self._containers.find(ref)
        if not cell.record.state.has_process:
            return stats.empty(cell.id, cell.record.name)
        async with aclosing(self.watch(ref)) as samples:
            async for last in samples:
                if last.preread != stats.NEVER or last.read == stats.NEVER:
                    return last
        return stats.empty(cell.id, cell.record.name)

    async def watch(self, ref: str) -> AsyncGenerator[ContainerStatsResponse, None]:
        """Yield a sample each period, empty ones while it does not run, until it is removed.

        Who is slow misses samples; nobody waits for them.
        """
        cell = self._containers.find(ref)
        with self._watching(cell) as source:
            if source.latest is None:
                await source.wait_next()
            while source.latest is not None:
                yield source.latest
                await source.wait_next()

    @contextmanager
    def _watching(self, cell: Cell) -> Iterator[_Source]:
        source = self._sources.get(cell.id)
        if source is None:
            source = self._sources[cell.id] = _Source()
            source.task = self._containers.background.start(
                f"sample {cell.id[:12]}", self._run(cell, source)
            )
        source.watchers += 1
        try:
            yield source
        finally:
            source.watchers -= 1
            if not source.watchers and source.task is not None:
                source.task.cancel()
                self._forget(cell, source)

    def _forget(self, cell: Cell, source: _Source) -> None:
        if self._sources.get(cell.id) is source:
            del self._sources[cell.id]

    async def _run(self, cell: Cell, source: _Source) -> None:
        before: ContainerStatsResponse | None = None
        due = time.monotonic()
        try:
            while self._containers.registry.get(cell.id) is cell:
                now = await self._sample(cell)
                if now.read == stats.NEVER:
                    before = None
                else:
                    stats.follow(before, now)
                    before = now
                source.publish(now)
                due = max(due + PERIOD, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
        finally:
            self._forget(cell, source)
            source.publish(None)

    async def _sample(self, cell: Cell) -> ContainerStatsResponse:
        if not cell.record.state.has_process:
            return stats.empty(cell.id, cell.record.name)
        return await asyncio.to_thread(self._measure, cell)

    def _measure(self, cell: Cell) -> ContainerStatsResponse:
        record = cell.record
        try:
            used = self._containers.cgroup(cell).stats()
        except FileNotFoundError:  # it ended just now
            return stats.empty(record.id, record.name)
        shares_host = record.host_config.network_mode == "host"
        links = {} if shares_host else stats.network_counters(record.run.pid)
        return stats.sample(record.id, record.name, used, links, stats.Host.read(), time.time_ns())
