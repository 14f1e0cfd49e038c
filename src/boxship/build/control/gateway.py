"""The bridge: builds that are driven from the client's side, step by step.

client                                engine
Control.Solve, without a frontend ─▶  waits for Return
LLBBridge.Solve(frontend, options) ─▶ a graph; its results get names
LLBBridge.ReadFile(name) …        ─▶  what is in a result
LLBBridge.Return(names)           ─▶  Control.Solve goes on: solves, exports, answers
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final

from boxship.build import ops
from boxship.build.control import debugging, llb, llbwriting, looking, policies, subrequests
from boxship.build.control.containers import Containers
from boxship.build.control.failures import failed
from boxship.build.control.frontend import Frontend, is_ours, with_inputs
from boxship.build.control.jobs import Job
from boxship.build.control.needs import Builder
from boxship.build.ops import Ref
from boxship.build.policy import Judges, Policy
from boxship.build.progress import Warned
from boxship.build.request import BuildRequest, Dockerfile, Graph, Target
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


@dataclass(frozen=True, slots=True)
class Held:
    """A result that has a name; `target` and `request` where our front end has made it."""

    ref: Ref | None
    request: BuildRequest
    target: Target | None = None


class Bridge:
    """One build that its client drives."""

    def __init__(
        self,
        job: Job,
        builder: Builder,
        frontend: Frontend,
        blank: BuildRequest,
        host: Platform,
        undo: AsyncExitStack,
        given: Mapping[str, solver.Definition],
    ) -> None:
        self.returned: asyncio.Future[BuildRequest] = asyncio.get_running_loop().create_future()
        self.files: dict[str, bytes] = {}
        self._job = job
        self._builder = builder
        self._frontend = frontend
        self._blank = blank
        self._host = host
        self._undo = undo
        self._given = dict(given)
        self._held: dict[str, Held] = {}
        self.containers = Containers(builder, job.report)
        undo.push_async_callback(self.containers.close)

    # Solving

    async def solve(self, asked: pb.SolveRequest) -> pb.SolveResponse:
        """Return the results of a frontend, or of a definition."""
        try:
            return await self._solve(asked)
        except BoxshipError as error:
            more = debugging.details(error, lambda ref: self._named(Held(ref, self._blank)).id)
            raise failed(error, self.files, more) from error

    async def _solve(self, asked: pb.SolveRequest) -> pb.SolveResponse:
        result = pb.Result()
        more = policies.read(asked.source_policies)
        blank = replace(self._blank, judges=self._judges(more))
        if is_ours(asked.frontend, asked.frontend_opt):
            await self._run_frontend(asked, blank, result)
        else:
            read = llb.read(asked.definition)
            self.files.update({name: info.data for name, info in read.files.items()})
            held = Held(read.root, blank)
            if asked.evaluate:
                await self._evaluate(held)
            result.ref.CopyFrom(self._named(held))
        return pb.SolveResponse(result=result)

    def _judges(self, more: Sequence[Policy]) -> Judges:
        """Return who judges the sources of a call that brings policies of its own."""
        judges = self._blank.judges
        return replace(judges, policies=(*judges.policies, *more))

    async def _run_frontend(
        self, asked: pb.SolveRequest, blank: BuildRequest, result: pb.Result
    ) -> None:
        options = dict(asked.frontend_opt)
        loaded = await self._frontend.load(options, blank, self._job.report, self._undo)
        self.files.update(loaded.files)
        request = with_inputs(loaded.request, asked.frontend_inputs)
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

    def _find(self, name: str) -> Held:
        if name not in self._held:
            raise NotFound(f"no such result: {name[:100]!r}")
        return self._held[name]

    # Returning

    def take(self, asked: pb.ReturnRequest) -> None:
        """Hear what the build came to."""
        if self.returned.done():
            raise InvalidRequest("the build has returned already")
        if asked.HasField("error"):
            details = asked.error.SerializeToString() if asked.error.details else b""
            try:
                code = Code(asked.error.code)
            except ValueError:
                code = Code.UNKNOWN
            self.returned.set_exception(Failed(code, asked.error.message, details))
            return
        self.returned.set_result(self._final(asked.result))

    def _final(self, result: pb.Result) -> BuildRequest:
        platforms = _platforms(result.metadata)
        match result.WhichOneof("result"):
            case "refs":
                named = {key: ref.id for key, ref in result.refs.refs.items()}
            case "refs_deprecated":
                named = dict(result.refs_deprecated.refs)
            case "ref":
                named = {"": result.ref.id}
            case "ref_deprecated":
                named = {"": result.ref_deprecated}
            case _:
                named = {"": ""}
        if named == {"": ""} and CONFIG not in result.metadata:
            named = {}  # the end of a question: nothing was built
        request, targets = self._blank, list[Target]()
        for key, name in named.items():
            held = self._find(name) if name else Held(None, self._blank)
            if held.target is not None:
                request = held.request
            targets.append(self._target(key, held, result.metadata, platforms))
        return replace(request, frontend=Graph(tuple(targets)))

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
        held = self._find(name)
        return self._builder.opened(held.ref, held.request, self._job.report)

    async def evaluate(self, asked: pb.EvaluateRequest) -> pb.EvaluateResponse:
        await self._evaluate(self._find(asked.ref))
        return pb.EvaluateResponse()

    # Containers

    async def new_container(self, asked: pb.NewContainerRequest) -> pb.NewContainerResponse:
        """Mount results for processes."""
        held = [self._find(one.result_id) for one in asked.mounts if one.result_id]
        request = held[0].request if held else self._blank
        try:
            await self.containers.open(asked, [one.ref for one in held], request)
        except BoxshipError as error:
            raise failed(error, self.files) from error
        return pb.NewContainerResponse()

    # Images

    async def resolve(self, asked: pb.ResolveImageConfigRequest) -> pb.ResolveImageConfigResponse:
        platform = self._host
        if asked.HasField("platform"):
            said = asked.platform
            platform = Platform(said.os, said.architecture, said.variant, said.os_version)
        more = policies.read(asked.source_policies)
        request = replace(self._blank, judges=self._judges(more))
        pull = asked.resolve_mode == "pull"
        found = await self._builder.resolve(asked.ref, platform, request, pull=pull)
        return pb.ResolveImageConfigResponse(
            digest=str(found.digest or ""), config=found.config, ref=found.reference
        )

    async def resolve_source(
        self, asked: pb.ResolveSourceMetaRequest
    ) -> pb.ResolveSourceMetaResponse:
        answer = pb.ResolveSourceMetaResponse(source=asked.source)
        scheme, _, rest = asked.source.identifier.partition("://")
        if scheme == "docker-image":
            wanted = pb.ResolveImageConfigRequest(ref=rest, resolve_mode=asked.resolve_mode)
            if asked.HasField("platform"):
                wanted.platform.CopyFrom(asked.platform)
            found = await self.resolve(wanted)
            answer.image.digest, answer.image.config = found.digest, found.config
            if found.ref:
                pinned = found.ref.partition("@")[0]
                if found.digest:
                    pinned += f"@{found.digest}"
                answer.source.identifier = f"docker-image://{pinned}"
        return answer

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


def _config(said: bytes) -> ImageConfig:
    return strictjson.decode(said, ImageConfig, f"invalid {CONFIG}", limit=CONFIG_LIMIT)


def blank_text() -> Dockerfile:
    """Return the front end of a request that has none yet."""
    return Dockerfile(b"")
