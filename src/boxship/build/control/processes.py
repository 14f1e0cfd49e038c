"""The processes of one ExecProcess call: what a client says to them, and what they say.

client                            engine
init(container, meta, fds)   ─▶   started
file(0, data) … file(0, eof) ─▶   input
resize, signal               ─▶
                             ◀─   file(1, data), file(2, data) …
                             ◀─   exit(code), file(1, eof), file(2, eof), done

Each message names its process. When the client hangs up, what still runs is killed.
"""

from __future__ import annotations

import asyncio
import signal as signals
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from google.protobuf.message import DecodeError

from boxship.build.control import llb
from boxship.build.control.containers import Containers
from boxship.build.running.talk import Streams, Talk
from boxship.errors import BoxshipError, Conflict, InvalidRequest
from boxship.runtime.errors import StartFailed
from boxship.shim.errors import NoSuchProcess, ShimLost, WrongMoment
from boxship.spec.buildkit import control_pb2 as control
from boxship.spec.buildkit import gateway_pb2 as pb
from boxship.transport.http2 import Stream
from boxship.wire import grpc
from boxship.wire.grpc import BadMessage, Code

STDIN: Final = 0
OUTPUTS: Final = (1, 2)
UNKNOWN: Final = 255  # a code for a process that has none
PIECE: Final = 32 << 10
AHEAD: Final = 4  # messages of input that wait for one process
MOST: Final = 200  # processes of one call


class Processes:
    """Serves one call."""

    def __init__(self, containers: Containers, stream: Stream) -> None:
        self._containers = containers
        self._stream = stream
        self._processes: dict[str, Process] = {}

    async def serve(self) -> None:
        """Run what is asked until the client hangs up; then kill what still runs."""
        self._stream.answer()
        try:
            async with asyncio.TaskGroup() as tasks:
                started: list[asyncio.Task[None]] = []
                while (data := await self._stream.receive()) is not None:
                    if (process := await self._heed(data)) is not None:
                        started.append(tasks.create_task(process.run()))
                for task in started:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _heed(self, data: bytes) -> Process | None:
        """Do what a message says; return the process that it begins."""
        try:
            message = pb.ExecMessage.FromString(data)
        except DecodeError:
            raise BadMessage("a message to a process cannot be read") from None
        name, kind = message.process_id, message.WhichOneof("input")
        if kind == "init":
            if name in self._processes or len(self._processes) >= MOST:
                raise Conflict(f"process {name[:100]} already exists")
            process = self._processes[name] = Process(
                self._containers, self._stream, name, message.init
            )
            return process
        known = self._processes.get(name)
        if known is None:
            raise InvalidRequest(f"a message to the process {name[:100]!r}, which was not begun")
        match kind:
            case "file" if message.file.fd == STDIN:
                await known.feed(message.file)
            case "resize":
                await known.resize(message.resize)
            case "signal":
                await known.signal(message.signal.name)
            case _:
                raise InvalidRequest(f"process {name[:100]} takes no {kind} message")
        return None


class Process:
    """One process, from its beginning to the message that it is done."""

    def __init__(
        self, containers: Containers, stream: Stream, name: str, asked: pb.InitMessage
    ) -> None:
        self._stream = stream
        self._name = name
        self._fds = frozenset(asked.fds)
        self._container = containers.find(asked.container_id)
        self._op = replace(
            llb.process_of(asked.meta, asked.security, self._container.op),
            secret_env=llb.secrets_of(asked.secret_env),
        )
        self._talk = Talk(self._hear, Streams(stdin=STDIN in self._fds, tty=asked.tty))
        self._input: asyncio.Queue[pb.FileMessage] = asyncio.Queue(AHEAD)
        self._told = asyncio.Event()  # that it has started: nothing is said before that
        self._over = False

    async def run(self) -> None:
        """Run it, and tell of it."""
        running = asyncio.ensure_future(self._container.run(self._op, self._talk))
        feeding = asyncio.ensure_future(self._feed())
        try:
            waiting: list[asyncio.Future[Any]] = [running, self._talk.begun]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            await self._say(pb.ExecMessage(started=pb.StartedMessage()))
            self._told.set()
            ended = await self._ended(running)
        finally:
            self._over = True
            for task in (running, feeding):
                task.cancel()
            await asyncio.wait([running, feeding])
            while not self._input.empty():  # who waits to put something in goes on
                self._input.get_nowait()
        await self._say(pb.ExecMessage(exit=ended))
        for fd in OUTPUTS:
            if fd in self._fds:
                await self._say(pb.ExecMessage(file=pb.FileMessage(fd=fd, eof=True)))
        await self._say(pb.ExecMessage(done=pb.DoneMessage()))

    async def _ended(self, running: asyncio.Future[int]) -> pb.ExitMessage:
        try:
            code = await running
        except StartFailed as failure:
            status = control.Status(code=int(Code.UNKNOWN), message=failure.message)
            return pb.ExitMessage(code=failure.exit_code, error=status)
        except BoxshipError as failure:
            code = grpc.code_of(failure)
            status = control.Status(code=int(code), message=str(failure))
            return pb.ExitMessage(code=UNKNOWN, error=status)
        if not code:
            return pb.ExitMessage()
        status = control.Status(code=int(Code.UNKNOWN), message=f"exit code: {code}")
        return pb.ExitMessage(code=code, error=status)

    # What the client says

    async def feed(self, piece: pb.FileMessage) -> None:
        """Take input; waits where the process does not take it."""
        if not self._over:
            await self._input.put(piece)

    async def _feed(self) -> None:
        await asyncio.shield(self._talk.begun)
        while True:
            piece = await self._input.get()
            await self._talk.write(piece.data)
            if piece.eof:
                self._talk.finish()

    async def resize(self, asked: pb.ResizeMessage) -> None:
        await _tried(self._talk.resize(asked.rows, asked.cols))

    async def signal(self, name: str) -> None:
        try:
            number = signals.Signals[f"SIG{name.upper().removeprefix('SIG')}"]
        except KeyError:
            raise InvalidRequest(f"unknown signal {name[:100]!r}") from None
        await _tried(self._talk.signal(number))

    # What the process says

    async def _hear(self, fd: int, data: bytes) -> None:
        await self._told.wait()
        if fd in self._fds:
            for at in range(0, len(data), PIECE):
                piece = pb.FileMessage(fd=fd, data=data[at : at + PIECE])
                await self._say(pb.ExecMessage(file=piece))

    async def _say(self, message: pb.ExecMessage) -> None:
        message.process_id = self._name
        await self._stream.send(message.SerializeToString())


async def _tried(work: Coroutine[Any, Any, None]) -> None:
    """Do what makes no difference to a process that has ended meanwhile."""
    with suppress(NoSuchProcess, WrongMoment, ShimLost):
        await work
