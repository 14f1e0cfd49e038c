"""A build that its caller drives step by step, over the bridge of the builder."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from google.protobuf.message import Message

from boxship.lib.groups import first_of
from boxship.spec.buildkit import control_pb2 as control
from boxship.spec.buildkit import gateway_pb2 as pb
from boxship.transport.http2 import Http2, Stream
from boxship.wire.grpc import Code, Failed

BRIDGE: Final = "/moby.buildkit.v1.frontend.LLBBridge/"
BUILD: Final = "buildkit-controlapi-buildid"
STDIN, STDERR = 0, 2
PIECE: Final = 32 << 10

A = TypeVar("A", bound=Message)
Heard = Callable[[int, bytes], None]


class Bridge:
    """The calls about one build."""

    def __init__(self, grpc: Http2, ref: str) -> None:
        self._grpc = grpc
        self._about = [(BUILD, ref)]

    async def solve(self, request: control.SolveRequest, *, cached: bool = False) -> pb.Result:
        """Have the frontend of a request work out its results; `cached`: nothing is made anew."""
        options = dict(request.frontend_attrs)
        if cached:
            options.pop("no-cache", None)
        asked = pb.SolveRequest(
            frontend=request.frontend,
            frontend_opt=options,
            frontend_inputs=request.frontend_inputs,
            cache_imports=request.cache.imports,
            allow_result_return=True,
            allow_result_array_ref=True,
        )
        return (await self._ask("Solve", asked, pb.SolveResponse)).result

    async def evaluate(self, result: pb.Result) -> None:
        """Have all of a result made; Failed where a step fails, which says what is left of it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for ref in refs_of(result).values():
                    asked = pb.EvaluateRequest(ref=ref)
                    tasks.create_task(self._ask("Evaluate", asked, pb.EvaluateResponse))
        except BaseExceptionGroup as group:
            raise first_of(group) from None

    async def give_back(self, result: pb.Result) -> None:
        """End the build with a result."""
        await self._ask("Return", pb.ReturnRequest(result=result), pb.ReturnResponse)

    async def fail(self, failure: Failed) -> None:
        """End the build with a failure."""
        error = control.Status(code=int(failure.code), message=str(failure))
        if failure.details:
            error = control.Status.FromString(failure.details)
        await self._ask("Return", pb.ReturnRequest(error=error), pb.ReturnResponse)

    async def open(self, asked: pb.NewContainerRequest) -> str:
        """Make a container; return what it is called."""
        asked.container_id = secrets.token_hex(12)
        await self._ask("NewContainer", asked, pb.NewContainerResponse)
        return asked.container_id

    async def release(self, container: str) -> None:
        """End a container and all that runs in it."""
        asked = pb.ReleaseContainerRequest(container_id=container)
        await self._ask("ReleaseContainer", asked, pb.ReleaseContainerResponse)

    async def start(self, init: pb.InitMessage, heard: Heard) -> Process:
        """Start a process; `heard` is given what it writes."""
        stream = self._grpc.open(BRIDGE + "ExecProcess", self._about)
        process = Process(stream, heard)
        await process.say(pb.ExecMessage(init=init))
        return process

    async def _ask(self, method: str, asked: Message, kind: type[A]) -> A:
        data = await self._grpc.ask(BRIDGE + method, asked.SerializeToString(), self._about)
        return kind.FromString(data)


class Process:
    """A process in a container; `ended` is the code that it has left, once it has."""

    def __init__(self, stream: Stream, heard: Heard) -> None:
        self._stream = stream
        self._heard = heard
        self._id = secrets.token_hex(8)
        self.ended = asyncio.ensure_future(self._hear())
        self.ended.add_done_callback(lambda one: one.cancelled() or one.exception())

    async def say(self, message: pb.ExecMessage) -> None:
        message.process_id = self._id
        await self._stream.send(message.SerializeToString())

    async def feed(self, data: bytes) -> None:
        """Give it input; nothing says that there is no more."""
        for at in range(0, len(data) or 1, PIECE):
            piece = pb.FileMessage(fd=STDIN, data=data[at : at + PIECE], eof=not data)
            await self.say(pb.ExecMessage(file=piece))

    async def resize(self, rows: int, columns: int) -> None:
        await self.say(pb.ExecMessage(resize=pb.ResizeMessage(rows=rows, cols=columns)))

    def kill(self) -> None:
        """Hang up: the builder ends it."""
        self._stream.cancel()
        self.ended.cancel()

    async def _hear(self) -> int:
        code = 0
        while (data := await self._stream.receive()) is not None:
            message = pb.ExecMessage.FromString(data)
            match message.WhichOneof("input"):
                case "file" if message.file.data:
                    self._heard(message.file.fd, message.file.data)
                case "exit":
                    code = message.exit.code
                    said = message.exit.error.message
                    if said and not said.startswith("exit code"):
                        raise Failed(Code.UNKNOWN, said)
                case "done":
                    break
                case _:
                    pass
        self._stream.cancel()
        return code


def refs_of(result: pb.Result) -> Mapping[str, str]:
    """Return the names of results, by platform where they are in a map."""
    if result.WhichOneof("result") == "refs":
        return {key: ref.id for key, ref in sorted(result.refs.refs.items()) if ref.id}
    return {"": result.ref.id} if result.ref.id else {}
