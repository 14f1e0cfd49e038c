"""Sampling: one sample a second of each container that somebody watches, shared by all watchers.

All containers' samples are taken together, in one visit to a thread: to wake for each at a moment
of its own costs several times what reading its figures does. Only the first of a container is taken
at once, so that who asks does not wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Final

from boxship.container import stats
from boxship.container.containers import Containers
from boxship.container.registry import Cell
from boxship.errors import BoxshipError
from boxship.model.ids import ContainerId
from boxship.spec.engine.container import ContainerStatsResponse

PERIOD: Final = 1.0  # seconds
NOT_YET: Final = float("-inf")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Source:
    """The samples of one container while somebody watches."""

    cell: Cell
    watchers: int = 0
    latest: ContainerStatsResponse | None = None
    taken: float = NOT_YET  # when the last one was
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def follow(self, sample: ContainerStatsResponse) -> None:
        """Publish the next sample, with what the one before said."""
        before = self.latest
        if sample.read != stats.NEVER and before and before.read != stats.NEVER:
            stats.follow(before, sample)
        self.publish(sample)

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
        self._rounds: asyncio.Task[None] | None = None

    async def once(self, ref: str) -> ContainerStatsResponse:
        """Return one sample, with nothing to compare it with."""
        cell = self._containers.find(ref)
        return await asyncio.to_thread(self._measure, cell, stats.Host.read())

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
            if source.taken == NOT_YET:
                await self._take([source])
            elif source.latest is None:
                await source.wait_next()
            while source.latest is not None:
                yield source.latest
                await source.wait_next()

    @contextmanager
    def _watching(self, cell: Cell) -> Iterator[_Source]:
        source = self._sources.get(cell.id)
        if source is None:
            source = self._sources[cell.id] = _Source(cell)
        if self._rounds is None:
            self._rounds = self._containers.background.start("take samples", self._run())
        source.watchers += 1
        try:
            yield source
        finally:
            source.watchers -= 1
            if not source.watchers:
                self._forget(source)

    def _forget(self, source: _Source) -> None:
        if self._sources.get(source.cell.id) is source:
            del self._sources[source.cell.id]
        if self._rounds is not None and not self._sources:
            self._rounds.cancel()
            self._rounds = None

    async def _run(self) -> None:
        due = time.monotonic()
        try:
            while True:
                due = max(due + PERIOD, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
                long_ago = time.monotonic() - PERIOD / 2
                await self._take([one for one in self._sources.values() if one.taken < long_ago])
        finally:
            if self._rounds is asyncio.current_task():
                for source in list(self._sources.values()):
                    self._end(source)

    def _end(self, source: _Source) -> None:
        self._forget(source)
        source.publish(None)

    async def _take(self, sources: Sequence[_Source]) -> None:
        """Take a sample of each; one whose container is gone ends."""
        now = time.monotonic()
        left = []
        for source in sources:
            source.taken = now
            if self._containers.registry.get(source.cell.id) is source.cell:
                left.append(source)
            else:
                self._end(source)
        if not left:
            return
        samples = await asyncio.to_thread(self._measure_each, [source.cell for source in left])
        for source, sample in zip(left, samples, strict=True):
            if sample is None:
                self._end(source)
            else:
                source.follow(sample)

    def _measure_each(self, cells: Sequence[Cell]) -> list[ContainerStatsResponse | None]:
        host = stats.Host.read()
        samples: list[ContainerStatsResponse | None] = []
        for cell in cells:
            try:
                samples.append(self._measure(cell, host))
            except (BoxshipError, OSError, ValueError):
                log.exception("what container %s uses cannot be told", cell.id[:12])
                samples.append(None)
        return samples

    def _measure(self, cell: Cell, host: stats.Host) -> ContainerStatsResponse:
        record = cell.record
        if not record.state.has_process:
            return stats.empty(record.id, record.name)
        try:
            used = self._containers.cgroup(cell).stats()
        except FileNotFoundError:  # it ended just now
            return stats.empty(record.id, record.name)
        shares_host = record.host_config.network_mode == "host"
        links = {} if shares_host else stats.network_counters(record.run.pid)
        return stats.sample(record.id, record.name, used, links, host, time.time_ns())
