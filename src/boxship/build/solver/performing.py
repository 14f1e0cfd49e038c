"""Performs single vertices: fetches, runs, changes files; so many at a time as the host bears."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import time_ns

from boxship.build import stopping
from boxship.build.cache.record import Layer
from boxship.build.cache.records import Held
from boxship.build.errors import BadGraph
from boxship.build.files.perform import FileChanges
from boxship.build.filesystems import Filesystems, Value
from boxship.build.merging import Merging
from boxship.build.needs import ClientSession
from boxship.build.ops import Diff, Exec, Files, Merge, Source, Vertex
from boxship.build.running import foreign
from boxship.build.running.execution import Asked, Executions
from boxship.build.solver.shared import Say
from boxship.build.sources.source import Asker, Fetched, Fetcher, Looked, Looks, Tell
from boxship.spec.platform import Platform


@dataclass(frozen=True, slots=True)
class Wish:
    """A vertex to be performed, and what that takes."""

    vertex: Vertex
    inputs: Sequence[Value]
    sessions: Sequence[ClientSession]
    entitlements: frozenset[str]
    held: Held
    say: Say
    made: list[Layer]
    lasting: bool = False  # an image will be made of it
    build: Held | None = None  # that asks for it
    keep_failed: bool = False


class Performing:
    """Does what a vertex says."""

    def __init__(
        self,
        fetchers: Mapping[str, Fetcher],
        executions: Executions,
        changes: FileChanges,
        filesystems: Filesystems,
        host: Platform,
        at_once: int,
    ) -> None:
        self._host = host
        self._fetchers = fetchers
        self._executions = executions
        self._changes = changes
        self._merging = Merging(filesystems)
        self._turn = asyncio.Semaphore(at_once)

    async def fetch(
        self, source: Source, platform: Platform | None, asker: Asker, tell: Tell
    ) -> Fetched:
        """Bring a source here, or what policies would have instead."""
        doing = "error evaluating the source policy"
        source = await asker.judges.admitted(source, platform, doing)
        return await self._fetcher(source).fetch(source, platform, asker, tell)

    async def look(self, source: Source, asker: Asker, *, objects: bool) -> Looked | None:
        """Say what a source is before it is used; None where there is nothing to say."""
        fetcher = self._fetcher(source)
        if not isinstance(fetcher, Looks):
            return None
        return await fetcher.look(source, asker, lambda told: None, objects=objects)

    def _fetcher(self, source: Source) -> Fetcher:
        fetcher = self._fetchers.get(source.identifier.partition("://")[0])
        if fetcher is None:
            raise BadGraph(f"no source is known for {source.identifier!r}")
        return fetcher

    async def perform(self, wish: Wish) -> dict[int, Value]:
        """Return the results of a vertex."""
        async with self._turn:
            wish.say(time_ns())
            name = wish.vertex.about.name
            match wish.vertex.op:
                case Exec() as op:
                    await asyncio.to_thread(foreign.check, wish.vertex.platform, self._host)
                    return await self._executions.perform(op, _asked(wish, name))
                case Files() as op:
                    changes = self._changes.perform
                    return await _to_the_end(
                        partial(changes, lasting=wish.lasting, build=wish.build),
                        op,
                        wish.inputs,
                        name,
                        wish.held,
                        wish.made,
                    )
                case Merge():
                    return await _to_the_end(
                        self._merging.merge, wish.inputs, name, wish.held, wish.made
                    )
                case Diff() as op:
                    return await _to_the_end(
                        self._merging.diff, op, wish.inputs, name, wish.held, wish.made
                    )
                case Source():
                    raise BadGraph("a source is fetched, not performed")


def _asked(wish: Wish, name: str) -> Asked:
    return Asked(
        inputs=wish.inputs,
        resources=wish.vertex.about.resources,
        entitlements=wish.entitlements,
        sessions=wish.sessions,
        held=wish.held,
        output=lambda stream, data: wish.say((stream, data)),
        description=name,
        made=wish.made,
        keep_failed=wish.keep_failed,
    )


async def _to_the_end(
    work: Callable[..., dict[int, Value]], *arguments: object
) -> dict[int, Value]:
    """Do what blocks in a thread; who is cancelled waits until it has cleaned up."""
    stop = threading.Event()
    going = asyncio.ensure_future(asyncio.to_thread(_stoppable, stop, work, arguments))
    try:
        return await asyncio.shield(going)
    except asyncio.CancelledError:
        stop.set()
        with suppress(BaseException):
            await going
        raise


def _stoppable(
    stop: threading.Event, work: Callable[..., dict[int, Value]], arguments: Sequence[object]
) -> dict[int, Value]:
    with stopping.by(stop):
        return work(*arguments)
