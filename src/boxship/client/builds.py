"""Builds, from the caller's side: gRPC over connections that the engine has given up to us."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from google.protobuf.message import Message

from boxship.client.dial import connect
from boxship.client.target import Target
from boxship.errors import InvalidRequest
from boxship.spec.buildkit import control_pb2 as pb
from boxship.transport.http2 import Http2
from boxship.transport.tunnel import InCall, Tunnel

if TYPE_CHECKING:
    from boxship.client.bridges import Bridge
    from boxship.client.dial import Socket
    from boxship.client.engine import Engine
    from boxship.client.offers import Offers
    from boxship.spec.buildkit.solver_pb2 import Definition

    Place = Engine | Target  # an engine that gives connections up, or a BuildKit

CONTROL = "/moby.buildkit.v1.Control/"
BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge/"
READ = "/containerd.services.content.v1.Content/Read"
NAME = "boxship"
CONFIG = "containerimage.config"
A = TypeVar("A", bound=Message)

Heard = Callable[[pb.StatusResponse], None]


@dataclass(frozen=True, slots=True)
class Graph:
    """A definition and the image's configuration; `platform` where there are several."""

    platform: str
    definition: Definition
    config: bytes


class Builds:
    """The builder's calls of one engine; within the block of `connected`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._grpc: Http2 | None = None

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Builds]:
        """Connect for the length of the block."""
        if isinstance(self._place, Target):
            self._grpc = await _spoken(connect(self._place), b"", Http2())
        else:
            self._grpc = await _taken(self._place, "/grpc", (), Http2())
        try:
            yield self
        finally:
            self._grpc.close()
            self._grpc = None

    @contextlib.asynccontextmanager
    async def session(self, offers: Offers, shared_key: str = "") -> AsyncIterator[str]:
        """Offer something for the length of the block; yields the session's ID."""
        id = secrets.token_hex(12)
        headers = [
            ("X-Docker-Expose-Session-Uuid", id),
            ("X-Docker-Expose-Session-Name", NAME),
            ("X-Docker-Expose-Session-Sharedkey", shared_key),
            *(("X-Docker-Expose-Session-Grpc-Method", method) for method in offers.methods),
        ]
        if isinstance(self._place, Target):
            assert self._grpc is not None
            said = [(name.lower(), value) for name, value in headers]
            stream = self._grpc.open(CONTROL + "Session", said)
            async with Tunnel(InCall(stream)) as tunnel:
                tunnel.adopt(Http2(offers.serve))
                yield id
            stream.cancel()
            return
        connection = await _taken(self._place, "/session", headers, Http2(offers.serve))
        try:
            yield id
        finally:
            connection.close()

    async def solve(self, request: pb.SolveRequest, heard: Heard) -> pb.SolveResponse:
        """Build; `heard` is given what is told meanwhile."""
        telling = asyncio.ensure_future(self._follow(request.ref, heard))
        try:
            answer = await self._ask("Solve", request, pb.SolveResponse)
            await telling
            return answer
        except Exception:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(5):
                    await telling
            raise
        finally:
            telling.cancel()

    async def graph(self, request: pb.SolveRequest, heard: Heard) -> list[Graph]:
        """Return what a request comes to, unsolved; one for each platform."""
        from boxship.spec.buildkit import gateway_pb2 as gateway

        driven = pb.SolveRequest(ref=request.ref, session=request.session, internal=True)
        solving = asyncio.ensure_future(self._ask("Solve", driven, pb.SolveResponse))
        asked = gateway.SolveRequest(
            frontend=request.frontend,
            frontend_opt=request.frontend_attrs,
            frontend_inputs=request.frontend_inputs,
            allow_result_return=True,
            allow_result_array_ref=True,
        )
        build = [("buildkit-controlapi-buildid", request.ref)]
        try:
            assert self._grpc is not None
            answer = await self._grpc.ask(BRIDGE + "Solve", asked.SerializeToString(), build)
            result = gateway.SolveResponse.FromString(answer).result
        finally:
            solving.cancel()
            await asyncio.wait([solving])
        if result.WhichOneof("result") == "ref":
            return [Graph("", result.ref.definition, bytes(result.metadata.get(CONFIG, b"")))]
        if result.WhichOneof("result") != "refs":
            raise InvalidRequest("a target that comes to nothing cannot be a context of another")
        return [
            Graph(name, ref.definition, bytes(result.metadata.get(f"{CONFIG}/{name}", b"")))
            for name, ref in sorted(result.refs.refs.items())
        ]

    @contextlib.asynccontextmanager
    async def driven(
        self, request: pb.SolveRequest, heard: Heard
    ) -> AsyncIterator[tuple[Bridge, asyncio.Future[pb.SolveResponse]]]:
        """Build as its caller says by a bridge; the answer comes when a result was given back."""
        from boxship.client.bridges import Bridge

        driven = pb.SolveRequest()
        driven.CopyFrom(request)
        driven.frontend = ""
        driven.frontend_inputs.clear()
        assert self._grpc is not None
        solving = asyncio.ensure_future(self.solve(driven, heard))
        try:
            yield Bridge(self._grpc, request.ref), solving
        finally:
            solving.cancel()
            await asyncio.wait([solving])

    async def _follow(self, ref: str, heard: Heard) -> None:
        async for message in self._many("Status", pb.StatusRequest(ref=ref), pb.StatusResponse):
            heard(message)

    async def status(self, ref: str, heard: Heard) -> None:
        """Hear what was told of a build."""
        await self._follow(ref, heard)

    async def workers(self) -> Sequence[pb.Worker]:
        found = await self._ask("ListWorkers", pb.ListWorkersRequest(), pb.ListWorkersResponse)
        return found.record

    async def usage(self, filters: Iterable[str] = ()) -> Sequence[pb.UsageRecord]:
        request = pb.DiskUsageRequest(filter=filters)
        return (await self._ask("DiskUsage", request, pb.DiskUsageResponse)).record

    def prune(self, request: pb.PruneRequest) -> AsyncIterator[pb.UsageRecord]:
        return self._many("Prune", request, pb.UsageRecord)

    def history(self, request: pb.HistoryRequest) -> AsyncIterator[pb.HistoryEvent]:
        return self._many("ListenBuildHistory", request, pb.HistoryEvent)

    async def update_history(self, request: pb.HistoryUpdateRequest) -> None:
        await self._ask("UpdateBuildHistory", request, pb.HistoryUpdateResponse)

    async def content(self, digest: str) -> bytes:
        """Return a blob of the builder's, such as a history's log."""
        from boxship.spec.buildkit import content_pb2 as content

        found = b""
        request = content.ReadRequest(digest=digest)
        async for piece in self._many(READ, request, content.ReadResponse):
            found += piece.data
        return found

    async def _ask(self, method: str, request: Message, kind: type[A]) -> A:
        assert self._grpc is not None
        return kind.FromString(await self._grpc.ask(CONTROL + method, request.SerializeToString()))

    async def _many(self, method: str, request: Message, kind: type[A]) -> AsyncIterator[A]:
        assert self._grpc is not None
        stream = self._grpc.open(method if method.startswith("/") else CONTROL + method)
        try:
            await stream.send(request.SerializeToString(), end=True)
            while (message := await stream.receive()) is not None:
                yield kind.FromString(message)
        finally:
            stream.cancel()


async def _taken(
    engine: Engine, path: str, offers: Iterable[tuple[str, str]], protocol: Http2
) -> Http2:
    """Let `protocol` speak on a connection that the engine gives up."""
    taken = engine.hijack(path, protocol="h2c", offers=offers)
    return await _spoken(taken.socket, taken.pending, protocol)


async def _spoken(taken: Socket, pending: bytes, protocol: Http2) -> Http2:
    """Let `protocol` speak on a connection, of which something may have been read."""
    given = cast("socket.socket", taken)
    plain = socket.socket(fileno=given.detach())
    plain.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: protocol, sock=plain)
    if pending:
        protocol.data_received(pending)
    return protocol
