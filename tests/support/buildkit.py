"""BuildKit's services called directly, as its clients call them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from google.protobuf.message import Message

from boxship.build import ops
from boxship.build.control import llbwriting
from boxship.client.offers import Offers
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.buildkit import gateway_pb2 as gateway
from boxship.spec.platform import Platform
from boxship.transport.http2 import Http2, Serve, Stream
from boxship.transport.tunnel import InCall, Tunnel
from tests.support.engine import Engine

CONTROL = "/moby.buildkit.v1.Control/"
BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge/"
AMD64 = Platform("linux", "amd64")
BUSYBOX = ops.Ref(
    ops.Vertex(ops.Source("docker-image://docker.io/library/busybox:latest"), platform=AMD64)
)
M = TypeVar("M", bound=Message)


@contextlib.asynccontextmanager
async def plain_http2(engine: Engine) -> AsyncIterator[Http2]:
    """Speak HTTP/2 from its preface, as newer clients do."""
    client = Http2()
    loop = asyncio.get_running_loop()
    await loop.create_unix_connection(lambda: client, engine.socket)
    try:
        async with asyncio.timeout(60):
            yield client
    finally:
        client.close()


def on_engine(engine: Engine, story: Callable[[Http2], Awaitable[None]]) -> None:
    async def run() -> None:
        async with plain_http2(engine) as client:
            await story(client)

    asyncio.run(run())


def run(*args: str, on: ops.Ref = BUSYBOX) -> ops.Ref:
    """A process on a result."""
    process = ops.Exec(args, mounts=(ops.Bind("/", 0, output=0),))
    return ops.Ref(ops.Vertex(process, (on,), platform=AMD64))


class Bridge:
    """A build that the test drives."""

    def __init__(self, client: Http2, ref: str, solving: asyncio.Future[bytes]) -> None:
        self.client = client
        self.solving = solving
        self.id = [("buildkit-controlapi-buildid", ref)]

    async def ask(self, method: str, asked: Message, kind: type[M]) -> M:
        data = await self.client.ask(BRIDGE + method, asked.SerializeToString(), self.id)
        return kind.FromString(data)

    async def solve(self, root: ops.Ref) -> str:
        """Return the name of a result."""
        asked = gateway.SolveRequest(
            definition=llbwriting.write(root), allow_result_return=True, allow_result_array_ref=True
        )
        return (await self.ask("Solve", asked, gateway.SolveResponse)).result.ref.id

    def open(self, method: str) -> Stream:
        return self.client.open(BRIDGE + method, self.id)

    async def give_back(self, ref: str = "") -> None:
        """End the build with a result, or none."""
        result = gateway.Result(ref=gateway.Ref(id=ref)) if ref else gateway.Result()
        await self.ask("Return", gateway.ReturnRequest(result=result), gateway.ReturnResponse)


@contextlib.asynccontextmanager
async def driven(client: Http2, ref: str, **more: object) -> AsyncIterator[Bridge]:
    """A build that waits for what the test does with its bridge."""
    asked = pb.SolveRequest(ref=ref, **more)  # type: ignore[arg-type]
    solving = asyncio.ensure_future(client.ask(CONTROL + "Solve", asked.SerializeToString()))
    try:
        yield Bridge(client, ref, solving)
    except BaseException:
        if solving.done():
            await solving  # why the bridge did not answer
        raise
    finally:
        solving.cancel()
        await asyncio.wait([solving])


@contextlib.asynccontextmanager
async def session(
    client: Http2, id: str, methods: Iterable[str], serve: Serve
) -> AsyncIterator[None]:
    """A session, carried by a call, whose client serves some methods."""
    said = [("x-docker-expose-session-uuid", id)]
    said += [("x-docker-expose-session-grpc-method", method) for method in methods]
    carrying = client.open(CONTROL + "Session", said)
    try:
        async with Tunnel(InCall(carrying)) as tunnel:
            tunnel.adopt(Http2(serve))
            yield
    finally:
        carrying.cancel()


async def built(client: Http2, folder: str, ref: str, **more: object) -> pb.StatusResponse:
    """Build a folder's Dockerfile as a client does; return all that was told."""
    offers = Offers(folders={"context": folder, "dockerfile": folder})
    async with session(client, ref, offers.methods, offers.serve):
        asked = pb.SolveRequest(ref=ref, frontend="dockerfile.v0", session=ref, **more)  # type: ignore[arg-type]
        await client.ask(CONTROL + "Solve", asked.SerializeToString())
    told = pb.StatusResponse()
    status = client.open(CONTROL + "Status")
    await status.send(pb.StatusRequest(ref=ref).SerializeToString(), end=True)
    while (message := await status.receive()) is not None:
        told.MergeFrom(pb.StatusResponse.FromString(message))
    return told
