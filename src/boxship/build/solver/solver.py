"""Solves graphs: each vertex once, those that do not wait for each other side by side.

    key of the inputs' identities ── known and kept? ── the results of last time
              │ no
    identity from the inputs' content ── kept? ── the results of whoever made the same
              │ no
    inputs' results ── perform, once for all who ask ── record

A vertex whose results are kept does not need its inputs' results: these are not made again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from boxship.build.cache.record import Layer
from boxship.build.cache.records import Held, Records
from boxship.build.cache.remote import Remote
from boxship.build.digests import Digests, joined
from boxship.build.errors import BadGraph, BuildFailed, NotEntitled, ProcessFailed
from boxship.build.filesystems import Filesystems, Layers, Value
from boxship.build.inline import KnownStep
from boxship.build.naming import name_of
from boxship.build.ops import Exec, Files, Ref, Source, Vertex, ancestry
from boxship.build.progress import Output, PartState, Report, VertexState, Warned
from boxship.build.running.execution import check_consent
from boxship.build.solver import keys
from boxship.build.solver.performing import Performing, Wish
from boxship.build.solver.shared import Say, Shared
from boxship.build.sources.source import Asker, Fetched, Looked, Told
from boxship.errors import BoxshipError
from boxship.snapshot.driver import ChainId

MOST_VERTICES: Final = 10_000
T = TypeVar("T")
Outputs = Mapping[int, Value]


@dataclass(frozen=True, slots=True)
class Keyed:
    """A vertex that is known: by its identity and, where they are kept, its results.

    A fresh one was never seen before, so that nothing that stands on it can be kept either. One
    of a remote cache was seen elsewhere: its results are fetched when they are wanted. A passing
    one stands on a client's folder, which gets another identity each time: its key is not kept.
    """

    identity: str
    outputs: Outputs | None
    fresh: bool = False
    key: str = ""
    remote: bool = False
    passing: bool = False


@dataclass(slots=True)
class Job:
    """One build as the solver sees it."""

    asker: Asker
    held: Held
    report: Report
    entitlements: frozenset[str] = frozenset()
    remote: Remote | None = None
    keyed: dict[Vertex, asyncio.Task[Keyed]] = field(default_factory=dict)
    solved: dict[Vertex, asyncio.Task[Outputs]] = field(default_factory=dict)
    states: dict[Vertex, VertexState] = field(default_factory=dict)
    fetched: dict[Vertex, Fetched] = field(default_factory=dict)  # what came from outside
    used: list[ChainId | None] = field(default_factory=list)  # and not noted yet
    lasting: frozenset[Vertex] = frozenset()  # whose layers an image will be made of


def known_steps(root: Ref | None, job: Job) -> list[KnownStep]:
    """Return what a solved result stands on, as far as it was worked out in this build."""
    found: list[KnownStep] = []
    for vertex in ancestry(root):
        keyed, solved = job.keyed.get(vertex), job.solved.get(vertex)
        if keyed is None or not keyed.done() or isinstance(vertex.op, Source):
            continue
        known = keyed.result()
        outputs = known.outputs
        if outputs is None and solved is not None and solved.done():
            outputs = solved.result()
        found += [
            KnownStep(known.key, known.identity, number, value.chain)
            for number, value in (outputs or {}).items()
            if isinstance(value, Layers) and value.chain is not None
        ]
    return found


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
        self._filesystems = filesystems
        self._digests = digests
        self._performing = performing
        self._shared: Shared[Outputs] = Shared()

    async def solve(self, refs: Sequence[Ref | None], job: Job) -> list[Value]:
        """Return the results asked for; BuildFailed names the vertex that failed."""
        _check(refs, job.entitlements)
        try:
            async with asyncio.TaskGroup() as tasks:
                one = _Solving(self, job, tasks)
                asked = [None if ref is None else one.result(ref) for ref in refs]
            await self._note_used(job)
            return [Layers() if found is None else found.result() for found in asked]
        except BaseExceptionGroup as group:
            first = _first(group)
            raise first from first.__cause__

    async def look(self, source: Source, asker: Asker, *, objects: bool) -> Looked | None:
        """Say what a source is before it is used; None where there is nothing to say."""
        return await self._performing.look(source, asker, objects=objects)

    async def _note_used(self, job: Job) -> None:
        """Note all that was found in the cache, at once."""
        used, job.used = job.used, []
        if used:
            await asyncio.to_thread(self._records.used, used)


class _Solving:
    """The tasks of one build."""

    def __init__(self, solver: Solver, job: Job, tasks: asyncio.TaskGroup) -> None:
        self._records = solver._records
        self._filesystems = solver._filesystems
        self._digests = solver._digests
        self._performing = solver._performing
        self._shared = solver._shared
        self._job = job
        self._tasks = tasks

    def result(self, ref: Ref) -> asyncio.Task[Value]:
        """Begin to work out one result."""
        return self._tasks.create_task(self._result(ref))

    async def _result(self, ref: Ref) -> Value:
        outputs = await self._solved(ref.vertex)
        if ref.output not in outputs:
            raise BadGraph(f"vertex {ref.vertex.digest} has no result {ref.output}")
        return outputs[ref.output]

    def _solved(self, vertex: Vertex) -> asyncio.Task[Outputs]:
        return self._once(self._job.solved, vertex, self._solve)

    def _keyed(self, vertex: Vertex) -> asyncio.Task[Keyed]:
        return self._once(self._job.keyed, vertex, self._key)

    def _once(
        self,
        known: dict[Vertex, asyncio.Task[T]],
        vertex: Vertex,
        work: Callable[[Vertex], Coroutine[Any, Any, T]],
    ) -> asyncio.Task[T]:
        task = known.get(vertex)
        if task is None:
            task = known[vertex] = self._tasks.create_task(self._named(vertex, work))
        return task

    async def _named(self, vertex: Vertex, work: Callable[[Vertex], Coroutine[Any, Any, T]]) -> T:
        """Do it; what goes wrong carries the vertex's name."""
        try:
            return await work(vertex)
        except BuildFailed:
            raise
        except (BoxshipError, OSError) as error:
            message = str(error)
            self._tell(vertex, completed=time.time_ns(), error=message)
            raise BuildFailed(message, vertex) from error

    # ---- keys

    async def _key(self, vertex: Vertex) -> Keyed:
        if isinstance(vertex.op, Source):
            return await self._key_source(vertex)
        found = await self._inputs(vertex)
        inputs = [f"{k.identity} {r.output}" for k, r in found]
        key = keys.key(vertex, inputs)
        passing = any(k.passing for k, _ in found)
        if vertex.about.ignore_cache:
            return await self._anew(vertex, key, inputs, passing=passing)
        known = None if passing else self._records.identity(key)
        if known is not None and (outputs := self._found(vertex, known)) is not None:
            return Keyed(known, outputs, key=key)
        remote = self._job.remote
        if remote is not None and (elsewhere := remote.identity(key)) is not None:
            return Keyed(elsewhere, None, key=key, remote=True)
        identity = await self._by_content(vertex, key, inputs)
        if not passing:
            await asyncio.to_thread(self._records.put_key, key, identity)
        passing = passing and self._stays_passing(vertex, found)
        newer = self._records.identity(identity)  # of a build that wanted it done again
        for one in (identity,) if newer is None else (newer, identity):
            if (outputs := self._found(vertex, one)) is not None:
                return Keyed(one, outputs, fresh=known is None, key=key, passing=passing)
        if remote is not None and remote.knows(identity):
            return Keyed(identity, None, key=key, remote=True)
        return Keyed(identity, None, fresh=known is None, key=key, passing=passing)

    async def _anew(
        self, vertex: Vertex, key: str, inputs: Sequence[str], *, passing: bool
    ) -> Keyed:
        """Key a vertex that is to be done again: later builds find what comes of it."""
        identity = joined("anew", [key, secrets.token_hex(16)])
        lasting = await self._by_content(vertex, key, inputs) if passing else key
        if lasting != key or not passing:
            await asyncio.to_thread(self._records.put_key, lasting, identity)
        return Keyed(identity, None, fresh=True, key=key, passing=passing and lasting == key)

    @staticmethod
    def _stays_passing(vertex: Vertex, inputs: Sequence[tuple[Keyed, Ref]]) -> bool:
        """Whether a vertex still depends on which folder it was, and not on its content."""
        taken = keys.by_content(vertex)
        return any(k.passing for number, (k, _) in enumerate(inputs) if number not in taken)

    async def _by_content(self, vertex: Vertex, key: str, inputs: Sequence[str]) -> str:
        """Return the identity of a vertex; looks at its inputs where their content matters."""
        taken = keys.by_content(vertex)
        if not taken:
            return key
        values = await self._values(vertex, taken)
        if all(self._digests.is_quick(value) for value in values.values()):
            return keys.identity(vertex, inputs, taken, values, self._digests)
        return await asyncio.to_thread(keys.identity, vertex, inputs, taken, values, self._digests)

    async def _key_source(self, vertex: Vertex) -> Keyed:
        """A source is what it turns out to be; a client's folder is looked into by its users."""
        assert isinstance(vertex.op, Source)
        self._tell(vertex, started=time.time_ns())
        fetched: Fetched = await self._performing.fetch(
            vertex.op, vertex.platform, self._job.asker, lambda told: self._part(vertex, told)
        )
        self._tell(vertex, completed=time.time_ns())
        if fetched.uri:
            self._job.fetched[vertex] = fetched
        if isinstance(fetched.value, Layers):
            self._job.held.chain(fetched.value.chain)
        identity = fetched.identity or joined("unique", [secrets.token_hex(16)])
        return Keyed(identity, {0: fetched.value}, passing=fetched.identity is None)

    async def _inputs(self, vertex: Vertex) -> list[tuple[Keyed, Ref]]:
        if sum(not self._keyed(ref.vertex).done() for ref in vertex.inputs) <= 1:
            return [await self._input(ref) for ref in vertex.inputs]
        waiting = [self._tasks.create_task(self._input(ref)) for ref in vertex.inputs]
        return [await task for task in waiting]

    async def _input(self, ref: Ref) -> tuple[Keyed, Ref]:
        """Return an input's key; one that will have to be done is begun, beside the others."""
        keyed = await self._keyed(ref.vertex)
        if keyed.outputs is None and keyed.fresh:
            self._solved(ref.vertex)
        return keyed, ref

    async def _values(
        self, vertex: Vertex, numbers: Sequence[int] | Mapping[int, object]
    ) -> dict[int, Value]:
        waiting = {number: self.result(vertex.inputs[number]) for number in numbers}
        return {number: await task for number, task in waiting.items()}

    def _kept(self, identity: str) -> Outputs | None:
        """Return the results recorded under an identity, if all of them are there."""
        found = self._records.outputs(identity)
        if found is None:
            return None
        for chain in found.values():
            self._job.held.chain(chain)
        if not all(self._filesystems.has(chain) for chain in found.values()):
            self._records.forget(identity)
            return None
        return {number: Layers(chain) for number, chain in found.items()}

    def _found(self, vertex: Vertex, identity: str) -> Outputs | None:
        """Return the results recorded under an identity, and say that they need not be made."""
        outputs = self._kept(identity)
        if outputs is not None:
            self._seen(vertex, outputs)
        return outputs

    def _seen(self, vertex: Vertex, outputs: Outputs) -> None:
        """Say that a vertex, and so all it stands on, need not be done."""
        now = time.time_ns()
        self._tell(vertex, cached=True, started=now, completed=now)
        self._job.used += [one.chain for one in outputs.values() if isinstance(one, Layers)]

    # ---- results

    async def _solve(self, vertex: Vertex) -> Outputs:
        keyed = await self._keyed(vertex)
        if keyed.outputs is not None:
            return keyed.outputs
        identity = keyed.identity
        if keyed.remote:
            if (brought := await self._brought(vertex, keyed)) is not None:
                return brought
            said = [f"{k.identity} {r.output}" for k, r in await self._inputs(vertex)]
            identity = await self._by_content(vertex, keyed.key, said)
            if (kept := self._found(vertex, identity)) is not None:
                return kept
        inputs = await self._values(vertex, range(len(vertex.inputs)))
        if (kept := self._found(vertex, identity)) is not None:  # another build has just done it
            return kept

        def listen(word: object) -> None:
            match word:
                case (int() as stream, bytes() as data):
                    at = time.time_ns()
                    self._job.report(Output(vertex.digest, stream, data, at))
                case int() as started:
                    self._tell(vertex, started=started)
                case _:
                    pass

        async def work(say: Say) -> Outputs:
            return await self._perform(vertex, identity, inputs, say)

        outputs = await self._shared.do(identity, work, listen)
        for value in outputs.values():
            if isinstance(value, Layers):
                self._job.held.chain(value.chain)
        self._tell(vertex, completed=time.time_ns())
        return outputs

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
        self._seen(vertex, outputs)
        return outputs

    async def _perform(
        self, vertex: Vertex, identity: str, inputs: Mapping[int, Value], say: Say
    ) -> Outputs:
        made: list[Layer] = []
        with self._records.holding() as held:
            for value in inputs.values():
                if isinstance(value, Layers):
                    held.chain(value.chain)
                elif value.folder is not None:  # whose build may end before who waits for this
                    held.folder(value.folder)
            wish = Wish(
                vertex,
                [inputs[number] for number in range(len(inputs))],
                self._job.asker.sessions,
                self._job.entitlements,
                held,
                say,
                made,
                vertex in self._job.lasting,
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

    # ---- telling

    def _tell(
        self,
        vertex: Vertex,
        *,
        cached: bool = False,
        started: int = 0,
        completed: int = 0,
        error: str = "",
    ) -> None:
        before = self._job.states.get(vertex)
        if before is None:
            before = VertexState(
                vertex.digest,
                vertex.about.name or name_of(vertex.op),
                tuple(dict.fromkeys(ref.vertex.digest for ref in vertex.inputs)),
                group=vertex.about.group,
            )
        state = replace(
            before,
            cached=cached or before.cached,
            started=before.started or started or completed,
            completed=completed or before.completed,
            error=error or before.error,
        )
        if state != before or vertex not in self._job.states:
            self._job.states[vertex] = state
            self._job.report(state)

    def _part(self, vertex: Vertex, told: Told) -> None:
        now = time.time_ns()
        self._job.report(
            PartState(
                vertex.digest,
                told.id,
                told.name,
                told.current,
                told.total,
                now,
                now,
                now if told.done else 0,
            )
        )


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
