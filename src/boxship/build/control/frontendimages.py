"""Frontends that come as images: a program that drives the build, in a container of its own.

engine                                    program
runs it, with the options in BUILDKIT_FRONTEND_OPT_0 …
                            ◀─ stdout ─   gRPC's calls of the bridge, over HTTP/2
                             ─ stdin ─▶   answers
                            ◀─ stdout ─   Return(result, or what went wrong)
                                          ends

It has what a RUN has: the same confinement, no files of the host, and the network of a RUN unless
its image wants none. What it may use of memory and processes is bounded, and one that neither calls
nor waits for an answer is ended.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from boxship.build import ops
from boxship.build.control import llb, llbwriting
from boxship.build.control.attrs import CONFIG, CONTEXT, INPUT
from boxship.build.control.bridging import BridgeCalls
from boxship.build.control.frontend import told
from boxship.build.control.gateway import Bridge, Wanted, platform_document
from boxship.build.control.needs import Builder
from boxship.build.control.stdio import Stdio
from boxship.build.dockerfile import contexts
from boxship.build.dockerfile import image as images
from boxship.build.ops import About, Exec, Ref, Resources, Source, Vertex
from boxship.build.progress import Output, Report
from boxship.build.purl import package
from boxship.build.request import Material
from boxship.build.running.container import Container
from boxship.build.sources.layouts import SCHEME as LAYOUT
from boxship.errors import BoxshipError, InvalidRequest, NotSupported
from boxship.spec.buildkit import control_pb2 as control
from boxship.spec.engine.image import ImageConfig as RunConfig
from boxship.spec.oci.image import ImageConfig
from boxship.spec.platform import Platform
from boxship.spec.product import NAME
from boxship.spec.reference import Reference
from boxship.transport.http2 import Http2, Stream
from boxship.transport.tunnel import Tunnel
from boxship.wire.grpc import Code, Failed

HEALTH: Final = "/grpc.health.v1.Health/Check"
IMAGE: Final = "docker-image://"
RUN: Final = ("/run",)  # where an image names no entrypoint
NO_NETWORK: Final = "moby.buildkit.frontend.network.none"
CAPS: Final = "moby.buildkit.frontend.caps"
INPUTS_CAP: Final = "moby.buildkit.frontend.inputs"
CAP_DETAIL: Final = "github.com/moby/buildkit/errdefs.FrontendCap+json"
METADATA: Final = "/run/config/buildkit/metadata"
TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
LIMITS: Final = Resources(memory=2 << 30, memory_swap=2 << 30, pids=4096)
IDLE: Final = 600.0  # seconds without a call, and without one that waits for an answer
ENDS_WITHIN: Final = 10.0  # seconds for a program that has returned, or closed its output
DEEPEST: Final = 4  # frontends that run frontends

CLOSED: Final = "frontend grpc server closed unexpectedly"
NOTHING: Final = "no result for incomplete build"


@dataclass(frozen=True, slots=True)
class Image:
    """A frontend's image, found."""

    root: Ref
    config: ImageConfig
    materials: tuple[Material, ...] = ()

    @property
    def run(self) -> RunConfig:
        return images.run_config(self.config)

    @property
    def label(self) -> Mapping[str, str]:
        return self.run.labels or {}


class FrontendImages:
    """Runs them."""

    def __init__(
        self, builder: Builder, worker: Callable[[], Awaitable[control.Worker]], host: Platform
    ) -> None:
        self._builder = builder
        self._worker = worker
        self._host = host

    async def run(self, wanted: Wanted, bridge: Bridge, report: Report) -> None:
        """Run one to its end, which drives `bridge`; raises what it has returned as its failure."""
        if bridge.depth > DEEPEST:
            raise InvalidRequest("frontends that run frontends, too deep")
        try:
            image = await self._find(wanted, report)
            _check_caps(wanted, image)
            bridge.frontends += image.materials
            op = await self._process(wanted, image)
            refs = (image.root, _metadata(image.root))
            async with self._builder.container(
                op, refs, wanted.request, report, LIMITS
            ) as container:
                failure = await self._talk(container, op, bridge, _told(image, report))
        finally:
            await bridge.containers.close()
        if (returned := bridge.returned).done():
            returned.result()  # what it says of itself counts most
        if failure is not None:
            raise failure
        if not returned.done():
            raise Failed(Code.UNKNOWN, NOTHING)

    async def _talk(
        self, container: Container, op: Exec, bridge: Bridge, heard: Callable[[bytes], None]
    ) -> BoxshipError | None:
        """Answer a program's calls until it ends; return what went wrong with the program."""
        stdio, calls = Stdio(heard), Calls(bridge, self._worker)
        async with Tunnel(stdio) as tunnel:
            connection = Http2(calls.serve)
            tunnel.adopt(connection)
            running = asyncio.ensure_future(container.run(op, stdio.talk))
            hung_up = asyncio.ensure_future(connection.closed.wait())
            idle = asyncio.ensure_future(calls.wait_idle(IDLE))
            every: list[asyncio.Future[object]] = [running, hung_up, idle]  # type: ignore[list-item]
            try:
                await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
                if bridge.returned.done() or stdio.silent:  # how it ends says more
                    await asyncio.wait([running], timeout=ENDS_WITHIN)
                if running.done():
                    return _ended(running)
                said = CLOSED if hung_up.done() else f"frontend did nothing for {IDLE:.0f} seconds"
                return Failed(Code.UNKNOWN, said)
            finally:
                for one in every:
                    one.cancel()
                await asyncio.wait(every)
                with suppress(BoxshipError, asyncio.CancelledError):
                    await running  # what is wrong with it has been said

    # What is run

    async def _find(self, wanted: Wanted, report: Report) -> Image:
        """Find the image, or what a named context puts in its place."""
        source, named = wanted.source, _contexts(wanted.options)
        if (instead := contexts.instead_of(source, named, self._host)) is not None:
            kind, _, rest = instead.partition(":")
            if kind == "input":
                return self._given(rest, wanted)
            if kind not in ("docker-image", "oci-layout"):
                raise NotSupported(f"a frontend cannot be taken from {instead[:200]}")
            source = rest.removeprefix("//")
            if kind == "oci-layout":
                source = LAYOUT + source
        if not source.startswith(LAYOUT):
            source = str(Reference.parse(source).with_default_tag())
        title = source if source.startswith(LAYOUT) else f"{IMAGE}{source}"
        async with told(report, wanted.request.ref, f"resolve image config for {title}"):
            found = await self._builder.resolve(source, self._host, wanted.request, pull=False)
        identifier, materials = source, tuple[Material, ...]()
        if not source.startswith(LAYOUT):
            name = Reference.parse(found.reference)
            identifier = f"{IMAGE}{Reference(name.host, name.path, name.tag, found.digest)}"
            digest = {"sha256": found.digest.hex} if found.digest else {}
            materials = (Material(package(name, self._host), digest),)
        about = About(name=identifier)
        root = Ref(Vertex(Source(identifier), platform=self._host, about=about))
        return Image(root, images.decode(found.config), materials)

    def _given(self, name: str, wanted: Wanted) -> Image:
        """Take a result of another build, which may have a configuration."""
        if name not in wanted.inputs:
            raise InvalidRequest(f"unknown input {name[:100]!r} of a named context")
        root = llb.read(wanted.inputs[name]).root
        if root is None:
            raise InvalidRequest(f"the input {name[:100]!r} is empty")
        said = wanted.options.get(INPUT + name, "")
        try:
            config = base64.b64decode(json.loads(said)[CONFIG]) if said else b""
        except (ValueError, KeyError, TypeError):
            raise InvalidRequest(f"invalid metadata of the input {name[:100]!r}") from None
        return Image(root, images.decode(config) if config else images.empty(self._host))

    async def _process(self, wanted: Wanted, image: Image) -> Exec:
        env = [*(image.run.env or ())]
        env += [
            f"BUILDKIT_FRONTEND_OPT_{number}={name}={value}"
            for number, (name, value) in enumerate(sorted(wanted.options.items()))
        ]
        session = next(iter(wanted.request.sessions), "")
        worker = await self._worker()
        known = {
            "id": worker.id,
            "labels": dict(worker.labels),
            "platforms": [
                platform_document(llb.platform_of(platform)) for platform in worker.platforms
            ],
        }
        env += [
            f"BUILDKIT_SESSION_ID={session}",
            f"BUILDKIT_WORKERS={json.dumps([known])}",
            f"BUILDKIT_EXPORTEDPRODUCT={NAME}",
        ]
        alone = image.label.get(NO_NETWORK, "") in TRUE
        return Exec(
            tuple(image.run.entrypoint or RUN),
            env=tuple(env),
            cwd=image.run.working_dir or "/",
            mounts=(ops.Bind("/", 0), ops.Bind(METADATA, 1, readonly=True)),
            network=ops.Network.NONE if alone else ops.Network.SANDBOX,
        )


class Calls:
    """The calls of one program, and whether there are any."""

    def __init__(self, bridge: Bridge, worker: Callable[[], Awaitable[control.Worker]]) -> None:
        async def find(stream: Stream) -> Bridge:
            return bridge

        self._calls = BridgeCalls(find, worker).calls
        self._under_way = 0
        self._last = time.monotonic()

    async def serve(self, stream: Stream) -> None:
        """Answer one."""
        self._under_way += 1
        try:
            if stream.path == HEALTH:
                await stream.receive()
                await stream.send(control.HealthResponse(status=1).SerializeToString())
                return
            if (call := self._calls.get(stream.path)) is None:
                raise Failed(Code.UNIMPLEMENTED, f"unknown method {stream.path[:200]}")
            await call(stream)
        finally:
            self._under_way -= 1
            self._last = time.monotonic()

    async def wait_idle(self, seconds: float) -> None:
        """Return when no call has been under way for so long."""
        while True:
            left = self._last + seconds - time.monotonic()
            if left <= 0 and not self._under_way:
                return
            await asyncio.sleep(max(left, 1.0))


def _ended(running: asyncio.Future[int]) -> BoxshipError | None:
    """Return what a program's end says of it."""
    try:
        code = running.result()
    except BoxshipError as failure:
        return failure
    return Failed(Code.UNKNOWN, f"exit code: {code}") if code else None


def _told(image: Image, report: Report) -> Callable[[bytes], None]:
    """Return who hears what a program writes to its standard error: it is shown with its image."""
    digest = image.root.vertex.digest
    return lambda data: report(Output(digest, 2, data, time.time_ns()))


def _metadata(root: Ref) -> Ref:
    """Return a folder with the frontend's own definition, where it looks for it."""
    data = llbwriting.write(root, [], "").SerializeToString()
    make = ops.Action(ops.MakeFile("/frontend.bin", data, 0o400), ops.SCRATCH, output=0)
    about = About(name="[internal] describe the frontend")
    return Ref(Vertex(ops.Files((make,)), about=about))


def _contexts(options: Mapping[str, str]) -> dict[str, str]:
    return {k.removeprefix(CONTEXT): v for k, v in options.items() if k.startswith(CONTEXT)}


def _check_caps(wanted: Wanted, image: Image) -> None:
    """Refuse what the image does not say that it can do."""
    needed = _names(wanted.options.get("frontend.caps", ""))
    if wanted.inputs:
        needed.setdefault(INPUTS_CAP)
    able = _names(image.label.get(CAPS, ""))
    for name in needed:
        if name not in able:
            message = f"unsupported frontend capability {name[:100]}"
            status = control.Status(code=int(Code.UNIMPLEMENTED), message=message)
            detail = status.details.add(type_url=CAP_DETAIL)
            detail.value = json.dumps({"name": name[:100]}).encode()
            raise Failed(Code.UNIMPLEMENTED, message, status.SerializeToString())


def _names(said: str) -> dict[str, None]:
    """Return the names of a list as `a,b+forward`."""
    return dict.fromkeys(name for one in said.split(",") if (name := one.partition("+")[0]))
