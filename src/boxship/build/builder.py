"""The builder: the verbs."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from boxship.build import scanning, statements
from boxship.build.announcing import announced
from boxship.build.cache.cache import Cache
from boxship.build.cache.folders import Folders
from boxship.build.cache.imports import Imports, check_targets
from boxship.build.cache.records import Held, Records
from boxship.build.digests import Digests
from boxship.build.dockerfile.conversions import Conversions
from boxship.build.dockerfile.options import Resolved
from boxship.build.errors import NotEntitled
from boxship.build.export import attestations
from boxship.build.export import squash as squashing
from boxship.build.export.ahead import Ahead
from boxship.build.export.caches import CacheExports
from boxship.build.export.exporter import Exporter, has_layers
from boxship.build.export.images import Part
from boxship.build.export.provenance import Course, predicate
from boxship.build.export.squash import Squash
from boxship.build.filesystems import Filesystems, Layers, Value
from boxship.build.frontend import Finder, Frontend
from boxship.build.needs import Sessions
from boxship.build.ops import (
    About,
    Exec,
    Network,
    Ref,
    Resources,
    Source,
    Vertex,
    ancestry,
    main_line,
)
from boxship.build.progress import Report
from boxship.build.request import (
    UNLIMITED,
    YES,
    Attested,
    BuildRequest,
    Built,
    Dockerfile,
    Graph,
    Material,
    Target,
)
from boxship.build.running import container as containers
from boxship.build.running.container import Container
from boxship.build.running.execution import Asked, Executions
from boxship.build.running.runner import Runner
from boxship.build.solver.job import Job
from boxship.build.solver.solver import Solver
from boxship.build.solver.steps import known_layers, known_steps, steps
from boxship.build.sources.contexts import Contexts
from boxship.build.sources.images import ImageSource
from boxship.build.sources.layouts import LayoutSource
from boxship.build.sources.source import Asker, Looked
from boxship.build.statements import Statement
from boxship.distribution.auth import Credentials
from boxship.errors import BoxshipError
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

SECOND = 1_000_000_000
DATING = "[internal] resolve the time of the build context"


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Builds what is asked, and keeps what it may need again; belongs to one event loop."""

    solver: Solver
    ahead: Ahead
    records: Records
    folders: Folders
    filesystems: Filesystems
    digests: Digests
    contexts: Contexts
    finder: ImageSource
    layouts: LayoutSource
    exporter: Exporter
    cache_exports: CacheExports
    squash: Squash
    cache: Cache
    imports: Imports
    runner: Runner
    executions: Executions
    sessions: Sessions
    allowed: frozenset[str]
    host: Platform
    conversions: Conversions = field(default_factory=Conversions)
    clock: Callable[[], int] = time.time_ns

    @property
    def running(self) -> set[str]:
        """The processes that run now, as containers of their own."""
        return set(self.runner.running)

    async def plan(self, request: BuildRequest, report: Report) -> Graph:
        """Return the graph that a request's front end makes."""
        with self.records.holding() as held:
            asker = await self._asker(request, held)
            return Graph(tuple(await self._targets(request, asker, report)))

    async def build(self, request: BuildRequest, report: Report) -> Built:
        """Work out what is asked, solve it, and give out the results."""
        try:
            return await self._build(request, report)
        finally:
            self.cache.changed()

    async def _build(self, request: BuildRequest, report: Report) -> Built:
        granted, began = self._granted(request), self.clock()
        check_targets(request.cache_to)
        with self.records.holding() as held:
            asker = await self._asker(request, held)
            remote = await self.imports.bring(request.cache_from, asker, report)
            targets = await self._targets(request, asker, report)
            request = _dated(request, targets)
            roots = [target.root for target in targets]
            lasting = main_line(*roots) if has_layers(request) else frozenset[Vertex]()
            job = Job(
                asker, held, report, granted, remote, lasting=lasting, archive=self.ahead.begin
            )
            await self._check_devices(roots, granted)
            try:
                values = await self.solver.solve(roots, job)
            finally:
                if isinstance(request.frontend, Dockerfile) and request.frontend.solved:
                    request.frontend.solved(known_layers(roots, job))
            parts = [
                Part(t, v, tuple(known_steps(t.root, job)) if request.caches_inline else ())
                for t, v in zip(targets, values, strict=True)
            ]
            parts = [await self._claimed(p, job) if p.target.claims else p for p in parts]
            if request.sbom and scanning.GENERATOR in request.sbom:
                parts = await self._scanned(request.sbom, parts, job)
            if request.squash:
                parts = [await asyncio.to_thread(self._squashed, p, job, held) for p in parts]
            course = _course(request, job, began, self.clock())
            built = await self.exporter.export(request, parts, asker, report, course)
            built = await self._with_caches(request, built, targets, values, job)
            return replace(built, attested=_attested(request, course, targets, self.host))

    async def _claimed(self, part: Part, job: Job) -> Part:
        """Return a result with what its frontend claims of it."""
        claims = part.target.claims
        values = await self.solver.solve([one.root for one in claims], job)

        def read() -> Iterator[Statement]:
            for value, claim in zip(values, claims, strict=True):
                with self.filesystems.looking(value) as root:
                    yield from statements.of_claim(root, claim)

        return replace(part, said=await asyncio.to_thread(lambda: tuple(read())))

    async def _scanned(
        self, asked: Mapping[str, str], parts: Sequence[Part], job: Job
    ) -> list[Part]:
        """Return results with what a scanner's image says of those whose software is not known."""
        unknown = [part for part in parts if not attestations.names_software(part.said)]
        if not unknown:
            return [*parts]
        finder = Finder(self.finder, self.layouts, job.asker, job.report)
        wanted = str(Reference.parse(asked[scanning.GENERATOR]).with_default_tag())
        image = await finder.resolve(wanted, self.host)
        parameters = {name: said for name, said in asked.items() if name != scanning.GENERATOR}
        scanner = scanning.Scanner(image, parameters, self.host)
        values = await self.solver.solve([scanner.scan(part.target) for part in unknown], job)

        def read(value: Value) -> list[Statement]:
            with self.filesystems.looking(value) as root:
                return scanning.written(root)

        for value, part in zip(values, unknown, strict=True):
            more = await asyncio.to_thread(read, value)
            parts = [replace(p, said=(*p.said, *more)) if p is part else p for p in parts]
        return [*parts]

    async def _with_caches(
        self,
        request: BuildRequest,
        built: Built,
        targets: Sequence[Target],
        values: Sequence[Value],
        job: Job,
    ) -> Built:
        """Send the cache where it was asked for; a failure ends the build unless it may fail."""
        for option in request.cache_to:
            if option.kind == "inline":
                continue
            most = option.attrs.get("mode", "min") == "max"
            may_fail = option.attrs.get("ignore-error", "false") in YES
            done = await steps([target.root for target in targets], job, fetch=most)
            try:
                with announced(job.report, f"exporting cache to {option.kind}") as tell:
                    found = await self.cache_exports.send(option, done, values, job.asker, tell)
            except BoxshipError:
                if not may_fail:
                    raise
                continue
            built = replace(built, metadata={**built.metadata, **found})
        return built

    @asynccontextmanager
    async def opened(
        self, ref: Ref | None, request: BuildRequest, report: Report
    ) -> AsyncIterator[str]:
        """Solve a result and show it as a folder, for as long as the block goes on.

        The folder is a descriptor's: whoever reads it resolves what is in it beneath it.
        """
        granted = self._granted(request)
        with self.records.holding() as held, ExitStack() as undo:
            job = Job(await self._asker(request, held), held, report, granted)
            await self._check_devices([ref], granted)
            (value,) = await self.solver.solve([ref], job)
            looking = self.filesystems.looking(value)
            root = await asyncio.to_thread(undo.enter_context, looking)
            yield f"/proc/self/fd/{root}"

    async def date_of(self, source: Source, request: BuildRequest, report: Report) -> int | None:
        """Return of what time a source is, in seconds; None where it does not say."""
        ref = Ref(Vertex(source, about=About(name=DATING)))
        with self.records.holding() as held:
            job = Job(await self._asker(request, held), held, report)
            await self.solver.solve([ref], job)
            return next((one.date for one in job.fetched.values()), None)

    @asynccontextmanager
    async def container(
        self,
        op: Exec,
        refs: Sequence[Ref | None],
        request: BuildRequest,
        report: Report,
        limits: Resources = UNLIMITED,
    ) -> AsyncIterator[Container]:
        """Solve results, and have them as the mounts of `op` for processes of the caller's.

        They last as long as the block; what was written into them is dropped then.
        """
        granted = self._granted(request)
        with self.records.holding() as held:
            asker = await self._asker(request, held)
            await self._check_devices(refs, granted)
            values = await self.solver.solve(refs, Job(asker, held, report, granted))
            asked = Asked(
                inputs=values,
                resources=limits,
                entitlements=granted,
                sessions=asker.sessions,
                held=held,
                output=lambda stream, data: None,
                description="a container of a client's",
            )
            async with containers.opened(self.executions, op, asked) as made:
                if asked.made:
                    name = f"container {secrets.token_hex(16)}"
                    await asyncio.to_thread(self.records.put, name, {}, asked.made)
                yield made

    async def resolve(
        self, reference: str, platform: Platform, request: BuildRequest, *, pull: bool
    ) -> Resolved:
        """Find an image and its configuration, for what is asked there."""
        with self.records.holding() as held:
            asker = await self._asker(replace(request, pull=pull), held)
            finder = Finder(self.finder, self.layouts, asker, lambda told: None)
            return await finder.resolve(reference, platform)

    async def look(
        self, source: Source, platform: Platform, request: BuildRequest, *, objects: bool
    ) -> tuple[Source, Looked | None]:
        """Return a source as policies would have it, and what is known of it."""
        with self.records.holding() as held:
            asker = await self._asker(request, held)
            doing = "error evaluating the source policy"
            source = await asker.judges.admitted(source, platform, doing)
            return source, await self.solver.look(source, asker, objects=objects)

    def _squashed(self, part: Part, job: Job, held: Held) -> Part:
        """Return a result with all layers that are not its base image's in one."""
        sources = [v for v in ancestry(part.target.root) if v in job.fetched]
        bases = [job.fetched[v].value for v in sources]
        chains = [one.chain for one in bases if isinstance(one, Layers) and one.chain is not None]
        lineage = (
            self.filesystems.lineage(part.value.chain) if isinstance(part.value, Layers) else []
        )
        base = max((one for one in chains if one in lineage), key=lineage.index, default=None)
        value, merged = self.squash.squashed(part.value, base, held)
        config = part.target.config
        if merged and config is not None:
            config = squashing.history(config, merged)
        return replace(part, value=value, target=replace(part.target, config=config))

    async def _asker(self, request: BuildRequest, held: Held) -> Asker:
        sessions = await self.sessions(request.sessions) if request.sessions else ()
        return Asker(
            sessions=sessions,
            held=held,
            credentials=_credentials(request),
            pull=request.pull,
            keep_failed=request.keep_failed,
            judges=request.judges,
            context=request.context,
        )

    async def _targets(
        self, request: BuildRequest, asker: Asker, report: Report
    ) -> Sequence[Target]:
        """Return what is to be solved, one for each platform."""
        match request.frontend:
            case Graph(targets):
                return targets
            case Dockerfile() as file:
                finder, layouts, done = self.finder, self.layouts, self.conversions
                frontend = Frontend(finder, layouts, asker, self.host, done)
                return await frontend.targets(request, file, report)

    async def _check_devices(self, refs: Sequence[Ref | None], granted: frozenset[str]) -> None:
        """Refuse processes that ask for devices which are not there or not allowed."""
        for vertex in ancestry(*refs):
            if isinstance(vertex.op, Exec) and vertex.op.devices:
                await asyncio.to_thread(self.executions.devices, vertex.op, granted)

    def _granted(self, request: BuildRequest) -> frozenset[str]:
        """Return what client and daemon both consent to."""
        asked = request.entitlements
        for entitlement in asked:
            if entitlement.partition("=")[0] not in self.allowed:
                raise NotEntitled(entitlement)
        granted = asked
        if request.network is Network.HOST and "network.host" in self.allowed:
            granted |= {"network.host"}
        return granted


def _credentials(request: BuildRequest) -> Mapping[str, Credentials]:
    return {
        host: given for host, given in request.credentials.items() if isinstance(given, Credentials)
    }


def _attested(
    request: BuildRequest, course: Course, targets: Sequence[Target], host: Platform
) -> Callable[[], Sequence[Attested]]:
    """Return what tells of each result what it was made of."""
    asked = replace(request, provenance={"mode": "max", **(request.provenance or {})})

    def tell() -> Sequence[Attested]:
        found = []
        for target in targets:
            vertices = list(ancestry(target.root))
            kind, said = predicate(asked, course, target.platform or host, host, vertices)
            found.append((target.name if len(targets) > 1 else "", kind, said))
        return found

    return tell


def _dated(request: BuildRequest, targets: Sequence[Target]) -> BuildRequest:
    """Return a request with the time that the results themselves say they are of."""
    if request.source_date_epoch is not None:
        return request
    said = next((target.epoch for target in targets if target.epoch is not None), None)
    return replace(request, source_date_epoch=said)


def _course(request: BuildRequest, job: Job, began: int, ended: int) -> Course:
    """Return how a build went; where a time was asked for, that is when."""
    if request.source_date_epoch is not None:
        began = ended = request.source_date_epoch * SECOND
    taken = (Material(one.uri, one.digest) for one in job.fetched.values())
    materials = {one.uri: one for one in (*request.materials, *taken)}
    return Course(request.ref, began, ended, [materials[uri] for uri in sorted(materials)])
