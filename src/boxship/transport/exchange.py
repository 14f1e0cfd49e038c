"""One request and its answer on an HTTP/1.1 connection, as its handler sees them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, Final

from boxship.lib.filepart import FilePart
from boxship.transport.direct import DirectBody
from boxship.wire import http

if TYPE_CHECKING:
    from boxship.transport.connection import Connection
    from boxship.transport.upgrade import Upgraded

READ_AHEAD: Final = 256 << 10  # bytes of a body kept for a handler that is slower than its client

Headers = Iterable[tuple[str, str]]
Several = tuple[bytes, ...]  # that are there together: they go out together, each as a chunk
Pieces = AsyncIterator[bytes] | AsyncIterator[bytes | FilePart] | AsyncIterator[Several]
Chunks = Pieces | Iterator[bytes]


class Exchange:
    """A request that has begun to arrive. The handler answers exactly once."""

    __slots__ = (
        "_body",
        "_chunks",
        "_connection",
        "_continue",
        "_failure",
        "_queued",
        "_waiter",
        "answered",
        "cancellable",
        "closes",
        "head",
        "received",
    )

    def __init__(self, connection: Connection, head: http.Head) -> None:
        self.head = head
        self.answered = False
        self.closes = not head.keep_alive
        self.cancellable = True  # does the client's leaving end the work
        self.received = 0  # bytes of the body, read or not
        self._connection = connection
        self._body = http.body_of(head)
        self._chunks: deque[bytes] = deque()
        self._queued = 0
        self._waiter: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._continue = head.expects_continue

    @property
    def confidential(self) -> bool:
        """Whether the client has proved by a certificate who it is."""
        return self._connection.verified

    @property
    def over_tcp(self) -> bool:
        return self._connection.over_tcp

    @property
    def peer(self) -> str:
        """The address of the other end; "" on a local socket."""
        return self._connection.peer

    @property
    def encrypted(self) -> bool:
        return self._connection.encrypted

    @property
    def body_done(self) -> bool:
        """Whether the whole body has arrived."""
        return self._body.done

    @property
    def is_empty(self) -> bool:
        """Whether there is no body."""
        return self.head.length == 0

    # The connection's side

    def feed(self, buffer: bytearray) -> bool:
        """Take body bytes from `buffer`; return False when the handler has enough for now."""
        if self._body.done:
            return True
        piece = self._body.feed(buffer)
        if piece:
            self._chunks.append(piece)
            self._queued += len(piece)
            self.received += len(piece)
        if piece or self._body.done:
            self._wake()
        return self._queued < READ_AHEAD

    def fail(self, failure: BaseException) -> None:
        """Let the reader of the body hear that no more will come."""
        if not self._body.done:
            self._failure = failure
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The handler's side

    async def read(self) -> bytes:
        """Return the next bytes of the body, b"" after its end."""
        while not self._chunks:
            if self._body.done:
                return b""
            if self._failure is not None:
                raise self._failure
            if self._continue:
                self._continue = False
                self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        piece = self._chunks.popleft()
        self._queued -= len(piece)
        if self._queued < READ_AHEAD:
            self._connection.resume_body()
        return piece

    def hand_over(self) -> DirectBody | None:
        """Give what is left of the body to a thread, until `take_back`.

        None where there is nothing left to read, or it has to be decrypted first.
        """
        if self._body.done or self._failure is not None:
            return None
        lent = self._connection.lend()
        if lent is None:
            return None
        if self._continue:
            self._continue = False
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        arrived = b"".join(self._chunks)
        self._chunks.clear()
        self._queued = 0
        return DirectBody(lent[0], self._body, arrived, lent[1])

    def take_back(self, body: DirectBody) -> None:
        """Go on with what a thread has left; nobody reads a body that it has not read whole."""
        self.received += body.received
        if self._body.done:
            self._connection.return_lent(bytes(body.pending))
        else:
            self.closes = True

    async def read_all(self, limit: int) -> bytes:
        """Return the whole body; `BadRequest` when it is larger than `limit`."""
        if (self.head.length or 0) > limit:
            raise http.BadRequest("request body is too large", _TOO_LARGE)
        body = bytearray()
        while piece := await self.read():
            body += piece
            if len(body) > limit:
                raise http.BadRequest("request body is too large", _TOO_LARGE)
        return bytes(body)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body piece by piece."""
        while piece := await self.read():
            yield piece

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer in one piece."""
        extra = self._framing(status, len(body))
        head = http.response_head(status, headers, self._connection.common_headers() + extra)
        if self.head.method == "HEAD" or status in _BODILESS:
            body = b""
        self._connection.write(head + body)

    async def respond_stream(
        self,
        status: int,
        headers: Headers,
        chunks: Chunks,
        *,
        length: int | None = None,
    ) -> None:
        """Answer with what `chunks` yields, each piece sent when it is there.

        A plain iterator is worked off by a thread, which sends what it yields.

        The head goes out before the first piece is waited for: clients wait for it. A client
        that takes its time holds the iterator up; one that has left ends it. Where the `length`
        is known the head says it, and `chunks` must keep to it.
        """
        connection = self._connection
        chunked = length is None and self.head.minor == 1
        extra = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        if length is None and not chunked:
            self.closes = True
        extra += self._framing(status, length)
        head = http.response_head(status, headers, connection.common_headers() + extra)
        connection.write(head)
        if self.head.method == "HEAD":
            return
        self.cancellable = True
        try:
            if isinstance(chunks, Iterator):
                await connection.send_made(chunks, chunked=chunked)
            else:
                await self._send_each(chunks, chunked=chunked)
        finally:
            self.cancellable = False  # what the stream has to give back is given back
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        if chunked:
            connection.write(http.LAST_CHUNK)
        await connection.drain()

    async def _send_each(self, chunks: Pieces, *, chunked: bool) -> None:
        connection = self._connection
        async for data in chunks:
            if isinstance(data, FilePart):
                await self._send_part(data, chunked=chunked)
                continue
            several = data if isinstance(data, tuple) else (data,)
            written = b"".join(http.chunk(one) if chunked else one for one in several if one)
            if written:
                connection.write(written)
                await connection.drain()

    async def _send_part(self, part: FilePart, *, chunked: bool) -> None:
        """Send a part of a file as it is, as one chunk where the answer comes in chunks."""
        if not part.size:
            return
        if chunked:
            self._connection.write(b"%x\r\n" % part.size)
        await self._connection.send_part(part)
        if chunked:
            self._connection.write(b"\r\n")

    async def respond_file(
        self, status: int, headers: Headers, file: BinaryIO, offset: int, count: int, stall: float
    ) -> None:
        """Answer with a part of a file, by sendfile(2) where the connection allows it.

        A client that takes longer than `stall` seconds for 8 MiB is given up: `ClientGone`.
        """
        extra = self._framing(status, count)
        connection = self._connection
        connection.write(http.response_head(status, headers, connection.common_headers() + extra))
        if self.head.method != "HEAD" and count:
            await connection.send_file(file, offset, count, stall)

    async def upgrade(self, status: int, headers: Headers, *, apart: bool = True) -> Upgraded:
        """Answer, and give up HTTP on this connection; its streams follow.

        Not `apart` of the answer where the client is one that reads both alike.
        """
        self.answered = True
        head = http.response_head(status, headers, self._connection.common_headers())
        return await self._connection.upgrade(head, apart=apart)

    def _framing(self, status: int, length: int | None) -> bytes:
        """Mark the exchange answered; return the headers that say where the answer ends."""
        if self.answered:
            raise RuntimeError("a second answer to one request")
        self.answered = True
        if not self._body.done:
            self.closes = True  # nobody will read the rest of the body
        framing = b""
        if length is not None and status not in _BODILESS:
            framing = b"Content-Length: %d\r\n" % length
        if self.closes:
            framing += b"Connection: close\r\n"
        elif self.head.minor == 0:
            framing += b"Connection: keep-alive\r\n"
        return framing


_TOO_LARGE: Final = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
_BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
