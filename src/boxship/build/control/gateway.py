"""The bridge: builds that are driven from the client's side, step by step.

client                                engine
Control.Solve, without a frontend ─▶  waits for Return
LLBBridge.Solve(frontend, options) ─▶ a graph; its results get names
LLBBridge.ReadFile(name) …        ─▶  what is in a result
LLBBridge.Return(names)           ─▶  Control.Solve goes on: solves, exports, answers
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final, Protocol

from boxship.build import ops
from boxship.build.control import claims, debugging, llb, llbwriting, looking, subrequests
from boxship.build.control.containers import Containers
from boxship.build.control.failures import DETAILS_LIMIT, failed, is_located, located
from boxship.build.control.frontend import GATEWAY, SYNTAX, Frontend, Loaded, image_of, with_inputs
from boxship.build.control.jobs import Job
from boxship.build.control.needs import Builder
from boxship.build.control.sourcemeta import SourceMeta, with_policies
from boxship.build.ops import Ref
from boxship.build.progress import Report, Warned
from boxship.build.request import (
    BuildRequest,
    CacheOption,
    Dockerfile,
    Graph,
    Material,
    Target,
)
from boxship.errors import BoxshipError, InvalidRequest, NotFound
from boxship.lib import strictjson
from boxship.spec.buildkit import gateway_pb2 as pb
from boxship.spec.buildkit import solver_pb2 as solver
from boxship.spec.digest import Digest
from boxship.spec.oci.image import ImageConfig
from boxship.spec.platform import Platform
from boxship.wire.grpc import Code, Failed

CONFIG: Final = "containerimage.config"
BASE_CONFIG: Final = "containerimage.base.config"
PLATFORMS: Final = "refs.platforms"
CONFIG_LIMIT: Final = 8 << 20
MOST_REFS: Final = 10_000


class Images(Protocol):
    """Runs frontends that come as images."""

    async def run(self, wanted: Wanted, bridge: Bridge, report: Report) -> None:
        """Run one to its end, which drives `bridge`; raises what it has failed with."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A frontend's image, and what it is asked; `request` says by whom."""

    source: str
    options: Mapping[str, str]
    inputs: Mapping[str, solver.Definition]
    request: BuildRequest


@dataclass(frozen=True, slots=True)
class Means:
    """What bridges work with."""

    builder: Builder
    frontend: Frontend
    images: Images
    host: Platform


@dataclass(frozen=True, slots=True)
class Held:
    """A result that has a name; `target` and `request` where our front end has made it."""

    ref: Ref | None
    request: BuildRequest
    target: Target | None = None


class Bridge:
    """One build that its client drives, or a frontend that comes as an image.

    metadata: what was returned besides results. depth: how many such frontends have begun others.
    frontends: the images that drive, and those that they have begun.
    """

    def __init__(
        self,
        job: Job,
        means: Means,
        blank: BuildRequest,
        undo: AsyncExitStack,
        given: Mapping[str, solver.Definition],
        depth: int = 0,
    ) -> None:
        self.depth = depth
        self.result = pb.Result()
        self.returned: asyncio.Future[BuildRequest] = asyncio.get_running_loop().create_future()
        self.files: dict[str, bytes] = {}
        self.frontends: list[Material] = []
        self._job = job
        self._means = means
        self._builder = means.builder
        self._blank = blank
        self._host = means.host
        self._undo = undo
        self._given = dict(given)
        self._held: dict[str, Held] = {}
        self._sources = SourceMeta(means.builder, means.host)
        self.containers = Containers(means.builder, job.report)
        undo.push_async_callback(self.containers.close)

    # Solving

    async def solve(self, asked: pb.SolveRequest) -> pb.SolveResponse:
        """Return the results of a frontend, or of a definition."""
        try:
            return await self._solve(asked)
        except BoxshipError as error:
            raise self._failed(error) from error

    def _failed(self, error: BoxshipError) -> Failed:
        """Return a failure with its lines, and with what a step that has failed has left."""
        more = debugging.details(error, lambda ref: self._named(Held(ref, self._blank)).id)
        return failed(error, self.files, more)

    async def _solve(self, asked: pb.SolveRequest) -> pb.SolveResponse:
        result = pb.Result()
        blank = with_policies(self._blank, asked.source_policies)
        if asked.cache_imports:
            said = [CacheOption(one.type, dict(one.attrs)) for one in asked.cache_imports]
            blank = replace(blank, cache_from=(*blank.cache_from, *said))
        if asked.frontend:
            await self._run_frontend(asked, blank, result)
        else:
            read = llb.read(asked.definition)
            self.files.update({name: info.data for name, info in read.files.items()})
            held = Held(read.root, blank)
            if asked.evaluate:
                await self._evaluate(held)
            result.ref.CopyFrom(self._named(held))
        if asked.final:
            self._take_final(asked, result)
        told = result if asked.allow_result_array_ref else _of_old(result)
        answer = pb.SolveResponse(result=told)
        if not asked.allow_result_return:
            answer.ref = result.ref.id
        return answer

    async def _run_frontend(
        self, asked: pb.SolveRequest, blank: BuildRequest, result: pb.Result
    ) -> None:
        options, inputs = dict(asked.frontend_opt), dict(asked.frontend_inputs)
        loaded = await self.begin(asked.frontend, options, inputs, blank)
        if isinstance(loaded, Bridge):
            self._adopt(loaded, result)
            if asked.evaluate:
                for held in map(self.find, _refs(result).values()):
                    await self._evaluate(held)
            return
        request = loaded.request
        if loaded.asked.subrequest:
            found = await subrequests.answer(
                loaded.asked.subrequest, request, self._builder, self._job.report
            )
            result.metadata.update(found)
            return
        graph = await self._builder.plan(request, self._job.report)
        self._tell(graph, request, result, many=loaded.asked.multi_platform)
        if asked.evaluate:
            for target in graph.targets:
                await self._evaluate(Held(target.root, request, target))

    async def begin(
        self,
        name: str,
        options: Mapping[str, str],
        inputs: Mapping[str, solver.Definition],
        blank: BuildRequest,
    ) -> Loaded | Bridge:
        """Do what a frontend does: ours makes a request, an image drives a bridge to its end."""
        image, place = image_of(name, options), None
        if image is None:
            with_given = with_inputs(blank, inputs)
            loaded = await self._means.frontend.load(
                options, with_given, self._job.report, self._undo
            )
            self.files.update(loaded.files)
            if isinstance(loaded, Loaded):
                return loaded
            image, place = loaded.image, loaded.place
            options = {**options, "source": image, "cmdline": loaded.cmdline}
        bridge = Bridge(self._job, self._means, blank, self._undo, inputs, self.depth + 1)
        try:
            wanted = Wanted(image, options, inputs, with_inputs(blank, inputs))
            await self._means.images.run(wanted, bridge, self._job.report)
        except BoxshipError as error:
            if place is not None:
                raise located(error, self.files, place) from error
            if name != GATEWAY and not is_located(error):
                said = f"failed with {SYNTAX} = {options['cmdline']}: {error}"
                raise failed(error, self.files, message=said) from error
            raise failed(error, self.files) from error
        return bridge

    def _adopt(self, bridge: Bridge, to: pb.Result) -> None:
        """Return as one's own what another bridge has come to."""
        self.frontends += bridge.frontends
        to.CopyFrom(bridge.result)
        to.ClearField("result")
        for key, name in _refs(bridge.result).items():
            ref = self._named(bridge.find(name)) if name else pb.Ref()
            (to.refs.refs[key] if _is_map(bridge.result) else to.ref).CopyFrom(ref)
        for each in to.attestations.values():
            for one in each.attestation:
                if one.ref.id:
                    one.ref.CopyFrom(self._named(bridge.find(one.ref.id)))

    def _tell(self, graph: Graph, request: BuildRequest, to: pb.Result, *, many: bool) -> None:
        several = many or len(graph.targets) > 1
        known = []
        for target in graph.targets:
            platform = target.platform or self._host
            name = target.name or str(platform)
            known.append({"ID": name, "Platform": platform_document(platform)})
            ref = self._named(Held(target.root, request, target))
            suffix = f"/{name}" if several else ""
            if several:
                to.refs.refs[name].CopyFrom(ref)
            else:
                to.ref.CopyFrom(ref)
            if target.config is not None:
                to.metadata[CONFIG + suffix] = strictjson.encode(target.config)
        to.metadata[PLATFORMS] = json.dumps({"Platforms": known}).encode()

    def _named(self, held: Held) -> pb.Ref:
        if len(self._held) >= MOST_REFS:
            raise InvalidRequest("a build of too many results")
        name = secrets.token_hex(12)
        self._held[name] = held
        info = [solver.SourceInfo(filename=n, data=d) for n, d in self.files.items()]
        session = next(iter(self._blank.sessions), "")
        return pb.Ref(id=name, definition=llbwriting.write(held.ref, info, session))

    async def _evaluate(self, held: Held) -> None:
        graph = Graph((held.target or Target(held.ref),))
        only = replace(held.request, frontend=graph, exports=(), cache_to=(), keep_failed=True)
        await self._builder.build(only, self._job.report)

    def find(self, name: str) -> Held:
        """Return a result by its name."""
        if name not in self._held:
            raise NotFound(f"no such result: {name[:100]!r}")
        return self._held[name]

    # Returning

    def take(self, asked: pb.ReturnRequest) -> None:
        """Hear what the build came to."""
        if self.returned.done():
            raise InvalidRequest("gateway result is already set")
        if asked.HasField("error"):
            details = asked.error.SerializeToString() if asked.error.details else b""
            if len(details) > DETAILS_LIMIT:
                details = b""
            try:
                code = Code(asked.error.code)
            except ValueError:
                code = Code.UNKNOWN
            self.returned.set_exception(Failed(code, asked.error.message, details))
            return
        final = self._final(asked.result)
        self.result = asked.result
        self.returned.set_result(final)

    def _take_final(self, asked: pb.SolveRequest, result: pb.Result) -> None:
        """Take a result as clients return one that know no Return."""
        try:
            said = json.loads(asked.exporter_attr or b"{}")
            more = {str(k): base64.b64decode(v, validate=True) for k, v in said.items()}
        except (ValueError, AttributeError, TypeError):
            raise InvalidRequest("invalid exporter attributes") from None
        returned = pb.Result()
        returned.CopyFrom(result)
        returned.metadata.update(more)
        self.take(pb.ReturnRequest(result=returned))

    def _final(self, result: pb.Result) -> BuildRequest:
        platforms = _platforms(result.metadata)
        named = _refs(result) or {"": ""}
        if named == {"": ""} and CONFIG not in result.metadata:
            named = {}  # the end of a question: nothing was built
        claimed = claims.read(result.attestations, named, lambda name: self.find(name).ref)
        request, targets = self._blank, list[Target]()
        for key, name in named.items():
            held = self.find(name) if name else Held(None, self._blank)
            if held.target is not None:
                request = held.request
            elif held.request.cache_from:
                request = replace(request, cache_from=held.request.cache_from)
            target = self._target(key, held, result.metadata, platforms)
            targets.append(replace(target, claims=claimed.get(key, ())))
        graph, taken = Graph(tuple(targets)), (*request.materials, *self.frontends)
        return replace(request, frontend=graph, materials=taken)

    def _target(
        self,
        key: str,
        held: Held,
        metadata: Mapping[str, bytes],
        platforms: Mapping[str, Platform],
    ) -> Target:
        said = metadata.get(f"{CONFIG}/{key}" if key else CONFIG, b"")
        platform = platforms.get(key)
        if not key and len(platforms) == 1:
            platform = next(iter(platforms.values()))
        if held.target is not None:
            known = held.target.config
            if not said or (known is not None and strictjson.encode(known) == said):
                return held.target
            return replace(held.target, config=_config(said), history=())
        return Target(held.ref, platform, _config(said) if said else None, name=key)

    # Looking into results

    async def read_file(self, asked: pb.ReadFileRequest) -> pb.ReadFileResponse:
        async with self._opened(asked.ref) as folder:
            return await asyncio.to_thread(looking.read, folder, asked)

    async def read_folder(self, asked: pb.ReadDirRequest) -> pb.ReadDirResponse:
        async with self._opened(asked.ref) as folder:
            return await asyncio.to_thread(looking.listed, folder, asked)

    async def stat_file(self, asked: pb.StatFileRequest) -> pb.StatFileResponse:
        async with self._opened(asked.ref) as folder:
            return await asyncio.to_thread(looking.known, folder, asked)

    def _opened(self, name: str) -> AbstractAsyncContextManager[str]:
        held = self.find(name)
        return self._builder.opened(held.ref, held.request, self._job.report)

    async def evaluate(self, asked: pb.EvaluateRequest) -> pb.EvaluateResponse:
        held = self.find(asked.ref)
        try:
            await self._evaluate(held)
        except BoxshipError as error:
            raise self._failed(error) from error
        return pb.EvaluateResponse()

    # Containers

    async def new_container(self, asked: pb.NewContainerRequest) -> pb.NewContainerResponse:
        """Mount results for processes."""
        held = [self.find(one.result_id) for one in asked.mounts if one.result_id]
        request = held[0].request if held else self._blank
        try:
            await self.containers.open(asked, [one.ref for one in held], request)
        except BoxshipError as error:
            raise failed(error, self.files) from error
        return pb.NewContainerResponse()

    # Sources

    async def resolve(self, asked: pb.ResolveImageConfigRequest) -> pb.ResolveImageConfigResponse:
        return await self._sources.image(asked, self._blank)

    async def resolve_source(
        self, asked: pb.ResolveSourceMetaRequest
    ) -> pb.ResolveSourceMetaResponse:
        return await self._sources.source(asked, self._blank)

    # Small answers

    def inputs(self) -> pb.InputsResponse:
        """Return the results of other builds that this one was given."""
        return pb.InputsResponse(definitions=self._given)

    def warn(self, asked: pb.WarnRequest) -> pb.WarnResponse:
        self._job.report(
            Warned(
                Digest.parse(asked.digest),
                asked.level,
                asked.short,
                tuple(asked.detail),
                asked.url,
                asked.info.filename,
                tuple(ops.Place(r.start.line, r.end.line) for r in asked.ranges),
                asked.info.data,
            )
        )
        return pb.WarnResponse()


def platform_document(platform: Platform) -> dict[str, str]:
    """Return a platform as image documents have it."""
    found = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        found["variant"] = platform.variant
    if platform.os_version:
        found["os.version"] = platform.os_version
    return found


def _platforms(metadata: Mapping[str, bytes]) -> dict[str, Platform]:
    said = metadata.get(PLATFORMS, b"")
    if not said:
        return {}
    try:
        return {
            str(one["ID"]): Platform.normal(
                one["Platform"]["os"],
                one["Platform"]["architecture"],
                one["Platform"].get("variant", ""),
                one["Platform"].get("os.version", ""),
            )
            for one in json.loads(said)["Platforms"]
        }
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest(f"invalid {PLATFORMS}") from None


def _refs(result: pb.Result) -> dict[str, str]:
    """Return the names of results, by platform where they are in a map."""
    match result.WhichOneof("result"):
        case "refs":
            return {key: ref.id for key, ref in result.refs.refs.items()}
        case "refs_deprecated":
            return dict(result.refs_deprecated.refs)
        case "ref":
            return {"": result.ref.id}
        case "ref_deprecated":
            return {"": result.ref_deprecated}
        case _:
            return {}


def _is_map(result: pb.Result) -> bool:
    return result.WhichOneof("result") in ("refs", "refs_deprecated")


def _of_old(result: pb.Result) -> pb.Result:
    """Return a result for clients that know results by their names alone."""
    old = pb.Result()
    old.CopyFrom(result)
    match result.WhichOneof("result"):
        case "refs":
            old.refs_deprecated.refs.update(_refs(result))
        case "ref":
            old.ref_deprecated = result.ref.id
        case _:
            pass
    return old


def _config(said: bytes) -> ImageConfig:
    return strictjson.decode(said, ImageConfig, f"invalid {CONFIG}", limit=CONFIG_LIMIT)


def blank_text() -> Dockerfile:
    """Return the front end of a request that has none yet."""
    return Dockerfile(b"")
