"""The daemon's side of shims: to have one forked, to find one again, to ask and to be told."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import msgspec

from boxship.errors import InvalidRequest
from boxship.runtime.errors import StartFailed
from boxship.shim import fdsocket, protocol
from boxship.shim.control import with_address
from boxship.shim.errors import NoSuchProcess, ShimLost, WrongMoment
from boxship.shim.protocol import Attachment, ExecRequest, StartRequest

HELLO_WITHIN: Final = 10.0  # seconds for a shim to say what is so
_INCOMING: Final = msgspec.msgpack.Decoder(protocol.Event | protocol.Answer)


@dataclass(frozen=True, slots=True)
class Lost:
    """The shim is gone without having told of an exit: `settle` finds out and cleans up."""


_Answer = TypeVar("_Answer")
ShimEvent = protocol.Exited | protocol.ExecExited | protocol.Oom | protocol.Detached | Lost


@dataclass(frozen=True, slots=True)
class Started:
    """A process that runs now; `pid` as the host counts."""

    pid: int
    warnings: tuple[str, ...] = ()


class Shim:
    """A connection to the keeper of one container. All methods belong to one event loop."""

    def __init__(self, sock: socket.socket, folder: str) -> None:
        sock.setblocking(False)
        self.folder = folder
        self.state = protocol.State(container="", shim=0)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._inbox = protocol.Inbox()
        self._outbox: deque[tuple[bytes, Sequence[int]]] = deque()
        self._hello: asyncio.Future[None] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[protocol.Done]] = {}
        self._last_number = 0
        self._untold: list[ShimEvent] = []
        self._listener: Callable[[ShimEvent], None] | None = None
        self._is_open = True
        self._has_exited = False
        self._loop.add_reader(sock, self._on_readable)

    @classmethod
    async def connect(cls, folder: str) -> Self:
        """Find the shim of a folder again; ShimLost when none answers there."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with_address(folder, sock.connect)
        except OSError as failure:
            sock.close()
            raise ShimLost(folder) from failure
        shim = cls(sock, folder)
        await shim.wait_hello()
        return shim

    async def wait_hello(self, within: float = HELLO_WITHIN) -> None:
        """Wait for what the shim says first: how its container is."""
        try:
            async with asyncio.timeout(within):
                await self._hello
        except TimeoutError:
            await self.close()
            raise ShimLost(self.folder) from None

    @property
    def pid(self) -> int:
        """The shim's own process."""
        return self.state.shim

    @property
    def is_open(self) -> bool:
        return self._is_open

    @property
    def on_event(self) -> Callable[[ShimEvent], None] | None:
        """Who is told of events. What happened before somebody was named is told then."""
        return self._listener

    @on_event.setter
    def on_event(self, listener: Callable[[ShimEvent], None] | None) -> None:
        self._listener = listener
        while self._listener and self._untold:
            self._listener(self._untold.pop(0))

    # -- verbs

    async def start(self, request: StartRequest, fds: Mapping[str, int]) -> Started:
        """Start the container; StartFailed tells why its program could not run.

        The descriptors are sent as copies. Names: root, netns, join.<namespace>,
        tree.<destination>, attach.<index>, go.
        """
        names = list(fds)
        done = await self._ask(
            lambda number: protocol.Start(number=number, request=request, fds=names),
            [fds[name] for name in names],
        )
        return Started(done.pid, tuple(done.warnings))

    async def exec(self, request: ExecRequest, fds: Sequence[int] = ()) -> Started:
        """Run one more program; `fds` has a socket for each of the request's attachments."""
        done = await self._ask(lambda number: protocol.Exec(number=number, request=request), fds)
        return Started(done.pid, tuple(done.warnings))

    async def attach(self, target: str, attachment: Attachment, fd: int) -> None:
        """Give a copy of a client's socket to the shim, which closes it at the end."""
        await self._ask(
            lambda number: protocol.Attach(number=number, target=target, attachment=attachment),
            [fd],
        )

    async def resize(self, target: str, height: int, width: int) -> None:
        """Set the size of a process's terminal."""
        await self._ask(
            lambda number: protocol.Resize(number=number, target=target, height=height, width=width)
        )

    async def signal(self, target: str, signal: int) -> None:
        """Send a signal to the container's init or to an exec."""
        await self._ask(lambda number: protocol.Signal(number=number, target=target, signal=signal))

    async def forget(self, exec_id: str) -> None:
        """Say that the exit code of an exec has been taken note of."""
        await self._ask(lambda number: protocol.Forget(number=number, exec=exec_id))

    async def close(self) -> None:
        """End the connection; the shim and its container go on."""
        self._listener = None
        self._close()

    # -- the connection

    async def _ask(
        self, make: Callable[[int], protocol.Request], fds: Sequence[int] = ()
    ) -> protocol.Done:
        if not self._is_open:
            raise ShimLost(self.folder)
        self._last_number += 1
        number = self._last_number
        answer: asyncio.Future[protocol.Done] = self._loop.create_future()
        self._answers[number] = answer
        try:
            # Copies are queued: the caller may close its own while the socket is full.
            self._outbox.append((protocol.encode(make(number), len(fds)), _copies(fds)))
            self._flush()
            return await answer
        finally:
            self._answers.pop(number, None)

    def _flush(self) -> None:
        while self._outbox:
            data, fds = self._outbox[0]
            try:
                sent = fdsocket.send(self._sock, data, fds)
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._flush)
                return
            except OSError:
                self._lose()
                return
            fdsocket.close_all(fds)
            if sent < len(data):
                self._outbox[0] = (data[sent:], ())
            else:
                self._outbox.popleft()
        self._loop.remove_writer(self._sock)

    def _on_readable(self) -> None:
        try:
            data, fds = fdsocket.receive(self._sock)
            if not data:
                raise ConnectionResetError
            for envelope in self._inbox.feed(data, fds):
                fdsocket.close_all(envelope.fds)
                self._take(_INCOMING.decode(envelope.body))
        except BlockingIOError:
            return
        except (OSError, InvalidRequest, msgspec.DecodeError):
            self._lose()

    def _take(self, message: protocol.Event | protocol.Answer) -> None:
        match message:
            case protocol.State():
                self.state = message
                if not self._hello.done():
                    self._hello.set_result(None)
            case protocol.Done(number=number):
                if answer := self._waiting(number):
                    answer.set_result(message)
            case protocol.Failed(number=number):
                if answer := self._waiting(number):
                    answer.set_exception(_failure(message))
            case event:
                self._has_exited |= isinstance(event, protocol.Exited)
                self._tell(event)

    def _waiting(self, number: int) -> asyncio.Future[protocol.Done] | None:
        answer = self._answers.get(number)
        return None if answer is None or answer.done() else answer

    def _tell(self, event: ShimEvent) -> None:
        if self._listener:
            self._listener(event)
        else:
            self._untold.append(event)

    def _lose(self) -> None:
        """The other side is gone; after the container's exit that is as it should be."""
        if self._is_open:
            self._close()
            if not self._has_exited:
                self._tell(Lost())

    def _close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        fdsocket.close_all(self._inbox.abandon())
        while self._outbox:
            fdsocket.close_all(self._outbox.popleft()[1])
        self._refuse(self._hello)
        for answer in self._answers.values():
            self._refuse(answer)

    def _refuse(self, waiting: asyncio.Future[_Answer]) -> None:
        if not waiting.done():
            waiting.set_exception(ShimLost(self.folder))
            waiting.exception()  # nobody may be waiting: that is no mishap


def _copies(fds: Sequence[int]) -> list[int]:
    copies: list[int] = []
    try:
        for fd in fds:
            copies.append(os.dup(fd))
    except BaseException:
        fdsocket.close_all(copies)
        raise
    return copies


def _failure(message: protocol.Failed) -> Exception:
    match message.kind:
        case "start":
            return StartFailed(message.message, message.exit_code)
        case "absent":
            return NoSuchProcess(message.message)
        case _:
            return WrongMoment(message.message)
