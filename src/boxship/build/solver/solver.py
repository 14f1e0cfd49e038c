"""Solves graphs: each vertex once, those that do not wait for each other side by side.

    keyed (keying) ── kept? ── the results of an earlier build
         │ no
    inputs' results ── perform, once for all who ask ── record

A vertex whose results are kept does not need its inputs' results: these are not made again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Final

from boxship.build.cache.record import Layer
from boxship.build.cache.records import Records
from boxship.build.digests import Digests, joined
from boxship.build.errors import BadGraph, BuildFailed, NotEntitled, ProcessFailed
from boxship.build.filesystems import Filesystems, Layers, Value
from boxship.build.ops import Exec, Files, Ref, Source, Vertex, ancestry
from boxship.build.progress import Output, Warned
from boxship.build.running.execution import check_consent
from boxship.build.solver import keys
from boxship.build.solver.job import Job, Keyed, Outputs
from boxship.build.solver.keying import Kept, Keying
from boxship.build.solver.performing import Performing, Wish
from boxship.build.solver.shared import Say, Shared
from boxship.build.sources.source import Asker, Looked
from boxship.errors import BoxshipError

MOST_VERTICES: Final = 10_000


class Solver:
    """Solves the graphs of all builds; belongs to one event loop."""

    def __init__(
        self,
        records: Records,
        filesystems: Filesystems,
        digests: Digests,
        performing: Performing,
    ) -> None:
        self._records = records
        self._kept = Kept(records, filesystems)
        self._digests = digests
        self._performing = performing
        self._shared: Shared[Outputs] = Shared()

    async def solve(self, refs: Sequence[Ref | None], job: Job) -> list[Value]:
        """Return the results asked for; BuildFailed names the vertex that failed."""
        _check(refs, job.entitlements)
        try:
            async with asyncio.TaskGroup() as tasks:
                asked = _Solving(self, job, tasks).results(refs)
            used, job.used = job.used, []
            self._records.used(used)
            return [Layers() if found is None else found.result() for found in asked]
        except BaseExceptionGroup as group:
            first = _first(group)
            raise first from first.__cause__

    async def look(self, source: Source, asker: Asker, *, objects: bool) -> Looked | None:
        """Say what a source is before it is used; None where there is nothing to say."""
        return await self._performing.look(source, asker, objects=objects)


class _Solving:
    """The tasks of one build."""

    def __init__(self, solver: Solver, job: Job, tasks: asyncio.TaskGroup) -> None:
        self._records = solver._records
        self._kept = solver._kept
        self._performing = solver._performing
        self._shared = solver._shared
        self._job = job
        self._tasks = tasks
        self._keying = Keying(
            solver._kept,
            solver._digests,
            solver._performing,
            job,
            tasks,
            self._result_of,
            self._solved,
        )

    def results(self, refs: Sequence[Ref | None]) -> list[asyncio.Task[Value] | None]:
        """Begin to work out results, and all they stand on."""
        self._keying.start(ancestry(*refs))
        return [None if ref is None else self._result_of(ref) for ref in refs]

    def _result_of(self, ref: Ref) -> asyncio.Task[Value]:
        return self._tasks.create_task(self._result(ref))

    async def _result(self, ref: Ref) -> Value:
        outputs = await self._solved(ref.vertex)
        if ref.output not in outputs:
            raise BadGraph(f"vertex {ref.vertex.digest} has no result {ref.output}")
        return outputs[ref.output]

    def _solved(self, vertex: Vertex) -> asyncio.Task[Outputs]:
        task = self._job.solved.get(vertex)
        if task is None:
            task = self._job.solved[vertex] = self._tasks.create_task(self._named(vertex))
        return task

    async def _named(self, vertex: Vertex) -> Outputs:
        with self._job.named(vertex):
            return await self._solve(vertex)

    async def _solve(self, vertex: Vertex) -> Outputs:
        outputs = await self._outputs(vertex)
        if vertex in self._job.lasting:
            for value in outputs.values():
                if isinstance(value, Layers) and value.chain is not None:
                    self._job.archive(value.chain, self._job.held)
        return outputs

    async def _outputs(self, vertex: Vertex) -> Outputs:
        keyed = await self._keying.of(vertex)
        if keyed.outputs is not None:
            return keyed.outputs
        identity = keyed.identity
        if keyed.remote:
            if (brought := await self._brought(vertex, keyed)) is not None:
                return brought
            identity = await self._keying.by_content(vertex, keyed.key)
            kept = self._kept.found(vertex, identity, self._job)
            if kept is not None:
                return kept
        inputs = await self._inputs(vertex)
        kept = self._kept.found(vertex, identity, self._job)
        if kept is not None:  # another build has just done it
            return kept

        def listen(word: object) -> None:
            match word:
                case (int() as stream, bytes() as data):
                    at = time.time_ns()
                    self._job.report(Output(vertex.digest, stream, data, at))
                case int() as started:
                    self._job.tell(vertex, started=started)
                case _:
                    pass

        async def work(say: Say) -> Outputs:
            return await self._perform(vertex, identity, inputs, say)

        outputs = await self._shared.do(identity, work, listen)
        for value in outputs.values():
            if isinstance(value, Layers):
                self._job.held.chain(value.chain)
        self._job.tell(vertex, completed=time.time_ns())
        return outputs

    async def _inputs(self, vertex: Vertex) -> list[Value]:
        waiting = [self._result_of(ref) for ref in vertex.inputs]
        return [await task for task in waiting]

    async def _brought(self, vertex: Vertex, keyed: Keyed) -> Outputs | None:
        """Fetch the results of a vertex from where they are known; None where that fails."""
        remote, wanted = self._job.remote, keys.outputs(vertex)
        if remote is None or not remote.has(keyed.identity, wanted):
            return None
        try:
            name, held = vertex.about.name, self._job.held
            chains = await remote.bring(keyed.identity, wanted, held, name)
        except (BoxshipError, OSError) as error:
            text = f"failed to fetch a cached result: {error}".encode()
            self._job.report(Warned(vertex.digest, 1, text))
            return None
        await asyncio.to_thread(self._records.put, keyed.identity, chains, [])
        await asyncio.to_thread(self._records.put_key, keyed.key, keyed.identity)
        outputs = {number: Layers(chain) for number, chain in chains.items()}
        self._job.seen(vertex, outputs)
        return outputs

    async def _perform(
        self, vertex: Vertex, identity: str, inputs: Sequence[Value], say: Say
    ) -> Outputs:
        made: list[Layer] = []
        with self._records.holding() as held:
            for value in inputs:
                if isinstance(value, Layers):
                    held.chain(value.chain)
                elif value.folder is not None:  # whose build may end before who waits for this
                    held.folder(value.folder)
            wish = Wish(
                vertex,
                inputs,
                self._job.asker.sessions,
                self._job.entitlements,
                held,
                say,
                made,
                vertex in self._job.lasting,
                self._job.held,
                self._job.asker.keep_failed,
            )
            try:
                outputs = await self._performing.perform(wish)
                kept = {n: v.chain for n, v in outputs.items() if isinstance(v, Layers)}
                if len(kept) == len(outputs):
                    await asyncio.to_thread(self._records.put, identity, kept, made)
                elif made:
                    await asyncio.to_thread(self._records.put, identity + " parts", {}, made)
            except BaseException as failure:
                if isinstance(failure, ProcessFailed) and failure.left:
                    # somebody will look into it: the cache has it until it is pruned
                    name = joined("left", [identity, secrets.token_hex(16)])
                    await asyncio.to_thread(self._records.put, name, {}, made)
                elif made:
                    self._records.litter()  # layers that nobody knows of
                raise
        return outputs


def _check(refs: Sequence[Ref | None], entitlements: frozenset[str]) -> None:
    """Refuse graphs that are too large, and what nobody has consented to, kept or not.

    A vertex is made of its inputs, so none has a circle.
    """
    seen: set[Vertex] = set()
    waiting = [ref.vertex for ref in refs if ref is not None]
    while waiting:
        vertex = waiting.pop()
        if vertex in seen:
            continue
        seen.add(vertex)
        if len(seen) > MOST_VERTICES:
            raise BadGraph("the definition has too many vertices")
        _check_numbers(vertex)
        if isinstance(vertex.op, Exec):
            try:
                check_consent(vertex.op, entitlements)
            except NotEntitled as error:
                raise BuildFailed(str(error), vertex) from error
        waiting.extend(ref.vertex for ref in vertex.inputs)


def _check_numbers(vertex: Vertex) -> None:
    """Refuse numbers of inputs and results that mean nothing."""
    count, op = len(vertex.inputs), vertex.op
    numbers: list[int] = []
    if isinstance(op, Exec):
        numbers = [m.input for m in op.mounts if hasattr(m, "input")]
    elif isinstance(op, Files):
        for at, action in enumerate(op.actions):
            owner = getattr(action.does, "owner", None)
            names = -1 if owner is None else owner.names
            for number in (action.input, action.second, names):
                if not -1 <= number < count + at:
                    raise BadGraph(f"vertex {vertex.digest} has no input {number}")
        return
    if any(not -1 <= number < count for number in numbers):
        raise BadGraph(f"vertex {vertex.digest} names an input that it has not")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first failure that says which vertex it was, or the first of all."""
    every: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting = [*error.exceptions, *waiting]
        else:
            every.append(error)
    named = [error for error in every if isinstance(error, BuildFailed)]
    return (named or every)[0]
