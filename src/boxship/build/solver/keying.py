"""Keys a graph from its sources up: what is known at once needs neither a task nor a thread.

    key of the inputs' identities ── known and kept? ── the results of last time
              │ no
    identity from the inputs' content ── kept? ── the results of whoever made the same

A vertex waits for nobody but its own inputs.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from boxship.build.cache.records import Records
from boxship.build.digests import Digests, joined
from boxship.build.filesystems import Filesystems, Layers, Value
from boxship.build.ops import Ref, Source, Vertex
from boxship.build.solver import keys
from boxship.build.solver.job import Job, Keyed, Outputs
from boxship.build.solver.keys import Meaning, Meanings
from boxship.build.solver.performing import Performing

SLICE: Final = 32  # vertices, before others have their turn in the loop


@dataclass(frozen=True, slots=True)
class Draft:
    """What a vertex's key is made of."""

    meant: Meaning
    key: str
    inputs: Sequence[str]
    passing: bool
    known: str | None = None  # the identity to which the key led the last time


@dataclass(frozen=True, slots=True)
class Kept:
    """What of earlier builds is still there."""

    records: Records
    filesystems: Filesystems
    meanings: Meanings = field(default_factory=Meanings)

    def outputs(self, identity: str, job: Job) -> Outputs | None:
        """Return the results recorded under an identity, if all of them are there."""
        found = self.records.outputs(identity)
        if found is None:
            return None
        for chain in found.values():
            job.held.chain(chain)
        if not all(self.filesystems.has(chain) for chain in found.values()):
            self.records.forget(identity)
            return None
        return {number: Layers(chain) for number, chain in found.items()}

    def found(self, vertex: Vertex, identity: str, job: Job) -> Outputs | None:
        """Return the results recorded under an identity, and say that they need not be made."""
        outputs = self.outputs(identity, job)
        if outputs is not None:
            job.seen(vertex, outputs)
        return outputs


class Keying:
    """Keys the vertices of one build, in its tasks.

    `result` begins to work out what a vertex's content has to be known of, `begin` a vertex that
    will have to be done, beside all else.
    """

    def __init__(
        self,
        kept: Kept,
        digests: Digests,
        performing: Performing,
        job: Job,
        tasks: asyncio.TaskGroup,
        result: Callable[[Ref], asyncio.Task[Value]],
        begin: Callable[[Vertex], object],
    ) -> None:
        self._kept = kept
        self._records = kept.records
        self._digests = digests
        self._performing = performing
        self._job = job
        self._tasks = tasks
        self._result = result
        self._begin = begin
        self._above: dict[Vertex, list[Vertex]] = {}
        self._missing: dict[Vertex, int] = {}  # how many of its inputs are not keyed yet
        self._wanted: dict[Vertex, asyncio.Future[Keyed]] = {}

    def start(self, vertices: Iterable[Vertex]) -> None:
        """Begin to key vertices, which come inputs first."""
        ready = []
        for vertex in vertices:
            if vertex in self._job.keyed:
                continue
            below = {r.vertex for r in vertex.inputs if r.vertex not in self._job.keyed}
            self._missing[vertex] = len(below)
            for one in below:
                self._above.setdefault(one, []).append(vertex)
            if not below:
                ready.append(vertex)
        self._tasks.create_task(self._climb(ready))

    async def of(self, vertex: Vertex) -> Keyed:
        """Return how a vertex is keyed, when it is."""
        keyed = self._job.keyed.get(vertex)
        if keyed is None:
            wanted = self._wanted.get(vertex)
            if wanted is None:
                wanted = self._wanted[vertex] = asyncio.get_running_loop().create_future()
            keyed = await wanted
        return keyed

    async def by_content(self, vertex: Vertex, key: str) -> str:
        """Return the identity of a vertex; looks at its inputs where their content matters."""
        meant = self._kept.meanings.of(vertex)
        if not meant.taken:
            return key
        waiting = {number: self._result(vertex.inputs[number]) for number in meant.taken}
        values = {number: await task for number, task in waiting.items()}
        inputs = self._identities(vertex)
        if all(self._digests.is_quick(value) for value in values.values()):
            return keys.identity(meant, inputs, values, self._digests)
        return await asyncio.to_thread(keys.identity, meant, inputs, values, self._digests)

    # ---- from the sources up

    async def _climb(self, ready: list[Vertex]) -> None:
        """Key what can be keyed at once, and all above it; the rest gets tasks of its own."""
        count = 0
        while ready:
            vertex = ready.pop()
            with self._job.named(vertex):
                if isinstance(vertex.op, Source):
                    self._tasks.create_task(self._later(vertex, self._source))
                    continue
                draft = self._drafted(vertex)
                keyed = self._at_once(vertex, draft)
            if keyed is None:
                self._tasks.create_task(self._later(vertex, partial(self._key, draft)))
                continue
            ready += self._note(vertex, keyed)
            count += 1
            if count % SLICE == 0:
                await asyncio.sleep(0)

    async def _later(self, vertex: Vertex, key: Callable[[Vertex], Awaitable[Keyed]]) -> None:
        with self._job.named(vertex):
            keyed = await key(vertex)
        await self._climb(self._note(vertex, keyed))

    def _note(self, vertex: Vertex, keyed: Keyed) -> list[Vertex]:
        """A vertex is keyed: return those above it that can be keyed now too."""
        self._job.keyed[vertex] = keyed
        wanted = self._wanted.pop(vertex, None)
        if wanted is not None and not wanted.done():
            wanted.set_result(keyed)
        if keyed.outputs is None and keyed.fresh:
            self._begin(vertex)
        ready = []
        for one in self._above.pop(vertex, ()):
            self._missing[one] -= 1
            if not self._missing[one]:
                ready.append(one)
        return ready

    # ---- one vertex

    def _identities(self, vertex: Vertex) -> list[str]:
        return [f"{self._job.keyed[r.vertex].identity} {r.output}" for r in vertex.inputs]

    def _drafted(self, vertex: Vertex) -> Draft:
        inputs = self._identities(vertex)
        meant = self._kept.meanings.of(vertex)
        key = keys.key(meant, inputs)
        passing = any(self._job.keyed[ref.vertex].passing for ref in vertex.inputs)
        known = None if passing or vertex.about.ignore_cache else self._records.identity(key)
        return Draft(meant, key, inputs, passing, known)

    def _at_once(self, vertex: Vertex, draft: Draft) -> Keyed | None:
        """Key a vertex without waiting for anything; None where that cannot be."""
        if vertex.about.ignore_cache:
            return None
        if draft.known is not None:
            outputs = self._kept.found(vertex, draft.known, self._job)
            if outputs is not None:
                return Keyed(draft.known, outputs, key=draft.key)
        remote = self._job.remote
        if remote is not None and (elsewhere := remote.identity(draft.key)) is not None:
            return Keyed(elsewhere, None, key=draft.key, remote=True)
        if not draft.passing:
            return None  # what its key leads to is to be written down
        values = dict[int, Value]()
        for number in draft.meant.taken:
            ref = vertex.inputs[number]
            value = (self._job.keyed[ref.vertex].outputs or {}).get(ref.output)
            if value is None or not self._digests.is_quick(value):
                return None
            values[number] = value
        identity = draft.key
        if values:
            identity = keys.identity(draft.meant, draft.inputs, values, self._digests)
        return self._settled(vertex, draft, identity)

    async def _key(self, draft: Draft, vertex: Vertex) -> Keyed:
        """Key a vertex that could not be keyed at once."""
        if vertex.about.ignore_cache:
            return await self._anew(vertex, draft)
        identity = await self.by_content(vertex, draft.key)
        if not draft.passing:
            await asyncio.to_thread(self._records.put_key, draft.key, identity)
        return self._settled(vertex, draft, identity)

    def _settled(self, vertex: Vertex, draft: Draft, identity: str) -> Keyed:
        """Key a vertex whose identity is known: is there a result of it?"""
        passing = draft.passing and self._stays_passing(vertex, draft.meant)
        newer = self._records.identity(identity)  # of a build that wanted it done again
        for one in (identity,) if newer is None else (newer, identity):
            if (outputs := self._kept.found(vertex, one, self._job)) is not None:
                fresh = draft.known is None
                return Keyed(one, outputs, fresh=fresh, key=draft.key, passing=passing)
        remote = self._job.remote
        if remote is not None and remote.knows(identity):
            return Keyed(identity, None, key=draft.key, remote=True)
        return Keyed(identity, None, fresh=draft.known is None, key=draft.key, passing=passing)

    async def _anew(self, vertex: Vertex, draft: Draft) -> Keyed:
        """Key a vertex that is to be done again: later builds find what comes of it."""
        key, passing = draft.key, draft.passing
        identity = joined("anew", [key, secrets.token_hex(16)])
        lasting = await self.by_content(vertex, key) if passing else key
        if lasting != key or not passing:
            await asyncio.to_thread(self._records.put_key, lasting, identity)
        return Keyed(identity, None, fresh=True, key=key, passing=passing and lasting == key)

    def _stays_passing(self, vertex: Vertex, meant: Meaning) -> bool:
        """Whether a vertex still depends on which folder it was, and not on its content."""
        return any(
            self._job.keyed[ref.vertex].passing
            for number, ref in enumerate(vertex.inputs)
            if number not in meant.taken
        )

    async def _source(self, vertex: Vertex) -> Keyed:
        """A source is what it turns out to be; a client's folder is looked into by its users."""
        assert isinstance(vertex.op, Source)
        job = self._job
        job.tell(vertex, started=time.time_ns())
        fetched = await self._performing.fetch(
            vertex.op, vertex.platform, job.asker, lambda told: job.part(vertex, told)
        )
        job.tell(vertex, completed=time.time_ns())
        if fetched.uri:
            job.fetched[vertex] = fetched
        if isinstance(fetched.value, Layers):
            job.held.chain(fetched.value.chain)
        identity = fetched.identity or joined("unique", [secrets.token_hex(16)])
        return Keyed(identity, {0: fetched.value}, passing=fetched.identity is None)
