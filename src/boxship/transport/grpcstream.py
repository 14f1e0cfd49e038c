"""One gRPC call on an HTTP/2 connection, from either side."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from boxship.errors import BoxshipError, Unavailable
from boxship.wire import grpc
from boxship.wire.grpc import Code, Failed, Header, Metadata

READ_AHEAD: Final = 1 << 20  # bytes of whole messages that are kept for a slow reader
ACKNOWLEDGE: Final = 32 << 10  # bytes that are acknowledged together


class ConnectionLost(Unavailable):
    """The other side has gone."""


class Connection(Protocol):
    """What a call needs of the connection that it is on."""

    calls: bool

    def acknowledge(self, number: int, size: int) -> None: ...
    def send_headers(self, number: int, headers: list[Header], *, end: bool = False) -> None: ...
    async def send_data(self, stream: Stream, number: int, data: bytes, *, end: bool) -> None: ...
    def reset(self, number: int) -> None: ...
    def forget(self, number: int) -> None: ...


class Stream:
    """One call. What is received are whole messages; None is their end."""

    def __init__(self, connection: Connection, number: int, path: str, limit: int) -> None:
        self.path = path
        self.metadata: Metadata = {}
        self.trailers: Metadata = {}
        self._connection = connection
        self._number = number
        self._deframer = grpc.Deframer(limit)
        self._messages: deque[bytes] = deque()
        self._queued = 0
        self.unacknowledged = 0  # bytes that the other side may not send again yet
        self._ended = False  # the other side has said all
        self._failure: BoxshipError | None = None
        self._arrived = asyncio.Event()
        self._window = asyncio.Event()
        self._sending = asyncio.Lock()
        self._answered = False
        self._finished = False  # our side has said all
        self.work: asyncio.Task[None] | None = None

    # What the connection tells

    @property
    def takes_data(self) -> bool:
        """Whether data may come: an answer's after its headers."""
        return bool(self.metadata) and not self._ended

    @property
    def is_counted(self) -> bool:
        """Whether the other side has said how long its data is, which h2 checks."""
        return "content-length" in self.metadata

    def take(self, data: bytes | memoryview, size: int) -> None:
        """Take data that has come; `size` is what it counts in the windows."""
        self.unacknowledged += size
        for message in self._deframer.feed(data):
            self._messages.append(message)
            self._queued += len(message) + grpc.PREFIX.size
        if self._queued < READ_AHEAD:
            self._acknowledge()
        if self._messages:
            self._arrived.set()

    def end(self, trailers: Metadata | None = None) -> None:
        """The other side sends no more."""
        if trailers is not None:
            self.trailers = trailers
        self._ended = True
        self._arrived.set()
        self._window.set()

    def fail(self, failure: BoxshipError) -> None:
        """The call is over."""
        if self._failure is None:
            self._failure = failure
        self._ended = True
        self._arrived.set()
        self._window.set()

    def widen(self) -> None:
        """More may be sent."""
        self._window.set()

    @property
    def over(self) -> bool:
        return self._failure is not None or (self._ended and self._finished)

    def _acknowledge(self) -> None:
        if self.unacknowledged >= ACKNOWLEDGE:
            size, self.unacknowledged = self.unacknowledged, 0
            self._connection.acknowledge(self._number, size)

    # Receiving

    async def receive_all(self) -> list[bytes]:
        """Return the messages that are here, waiting for one; none at the end.

        Raises what the other side failed with once everything that came before has been read.
        """
        while not self._messages:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                self._check_status()
                return []
            self._arrived.clear()
            await self._arrived.wait()
        found = list(self._messages)
        self._messages.clear()
        self._queued = 0
        self._acknowledge()
        return found

    async def receive(self) -> bytes | None:
        """Return the next message, None at the end."""
        while not self._messages:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                self._check_status()
                return None
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        self._queued -= len(message) + grpc.PREFIX.size
        if self._queued < READ_AHEAD:
            self._acknowledge()
        return message

    def _check_status(self) -> None:
        if self._connection.calls and (failure := grpc.read_status(self.trailers)):
            raise failure

    # Sending

    async def send(self, *messages: bytes, end: bool = False) -> None:
        """Send messages; with `end` they are the last. Who serves ends by returning."""
        end = end and self._connection.calls
        if not self._connection.calls and not self._answered:
            self.answer()
        data = b"".join(map(grpc.frame, messages))
        async with self._sending:
            await self._connection.send_data(self, self._number, data, end=end)
            self._finished = self._finished or end

    async def finish(self) -> None:
        """Say that nothing more will be sent."""
        if not self._finished and self._failure is None:
            await self.send(end=True)

    def answer(self, metadata: Iterable[Header] = ()) -> None:
        """Send the headers of an answer; `send` does so where nothing is to be said in them."""
        self._answered = True
        headers = [(":status", "200"), ("content-type", grpc.CONTENT_TYPE), *metadata]
        self._connection.send_headers(self._number, headers)

    def conclude(self, code: Code, message: str = "", details: bytes = b"") -> None:
        """End an answer."""
        trailers = grpc.status_headers(code, message, details)
        if not self._answered:
            trailers = [(":status", "200"), ("content-type", grpc.CONTENT_TYPE), *trailers]
        self._finished = True
        self._connection.send_headers(self._number, trailers, end=True)

    async def wait_window(self) -> None:
        """Wait until more may be sent, or the call is over."""
        self._window.clear()
        await self._window.wait()
        self.check_writable()

    def check_writable(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._connection.calls and self._ended:
            self._check_status()
            raise Failed(Code.CANCELLED, "the call has ended")

    def cancel(self) -> None:
        """Give the call up."""
        if not self.over:
            self._connection.reset(self._number)
        self.fail(Failed(Code.CANCELLED, "the call was given up"))
        self._connection.forget(self._number)
