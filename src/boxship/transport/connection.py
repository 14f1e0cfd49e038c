"""HTTP/1.1 connections under asyncio: one request at a time, bounded, easily given up.

What arrives while a request is being answered stays unread in the kernel once a little of it is
buffered, so a client that sends ahead is slowed down and not stored.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import logging
import os
import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from http import HTTPStatus
from typing import BinaryIO, Final, Protocol, cast

from boxship.lib.filepart import FilePart
from boxship.lib.finishing import finished
from boxship.transport import aside
from boxship.transport.exchange import Exchange
from boxship.transport.gone import ClientGone
from boxship.transport.upgrade import Upgraded
from boxship.wire import http

log = logging.getLogger(__name__)

HEAD_WITHIN: Final = 30.0  # seconds from a head's first byte to its last
LINGER: Final = 1.0  # seconds for a client to hear an answer that ends the connection
HALF_CLOSED: Final = 1.0  # seconds for an answer to a client that has finished sending
SENT_AHEAD: Final = 64 << 10
WRITE_BUFFER: Final = 256 << 10
SEGMENT: Final = 8 << 20  # of a file that is sent; each has a deadline of its own
COPIED: Final = 256 << 10  # of it that is in memory, where it has to be encrypted

_SIOCOUTQ: Final = 0x5411  # bytes that the other side has not taken yet
_TAKEN_PAUSES: Final = (0.0,) * 4 + (0.0002,) * 10 + (0.001,) * 20 + (0.01,) * 20

Work = Coroutine[object, object, None]
Handler = Callable[[Exchange], Work | None]  # None: it has answered already


class Host(Protocol):
    """What a connection needs of the server that accepted it."""

    handler: Handler

    def common_headers(self) -> bytes:
        """Return the header lines of every answer."""

    def opened(self, connection: Connection) -> None: ...

    def closed(self, connection: Connection) -> None: ...

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold a handler whose connection no longer belongs to HTTP."""

    def speak_http2(self, connection: Connection, received: bytes) -> None:
        """Take over a connection that began with HTTP/2's preface."""


class Connection(asyncio.Protocol):
    """One client's connection, for as long as it speaks HTTP."""

    transport: asyncio.Transport

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._buffer = bytearray()
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writable: asyncio.Future[None] | None = None
        self._reading = True
        self._state = "idle"  # idle, busy, lingering, upgraded, lost
        self._fresh = True
        self._heard_all = False  # the client sends no more; it may still read
        self.verified = False
        self.encrypted = False
        self.over_tcp = False
        self.peer = ""

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(WRITE_BUFFER)
        sock: socket.socket = transport.get_extra_info("socket")
        self.over_tcp = sock.family != socket.AF_UNIX
        encrypted: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        self.encrypted = encrypted is not None
        self.verified = encrypted is not None and bool(encrypted.getpeercert())
        if self.over_tcp and (peer := transport.get_extra_info("peername")):
            self.peer = peer[0]
        self._host.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._state == "lingering":
            return
        self._buffer += data
        if self._exchange is None:
            self._go_on()
        else:
            self._feed(self._exchange)

    def eof_received(self) -> bool:
        if self._exchange is None or self.transport.get_extra_info("ssl_object") is not None:
            return False
        self._exchange.fail(ClientGone("the client has closed the connection"))
        self._heard_all = True
        if _hung_up(self.transport):
            self.transport.abort()
        else:
            self._arm(HALF_CLOSED, self.transport.abort)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._host.closed(self)
        if self._state == "upgraded":
            return
        self._state = "lost"
        gone = ClientGone("the client has closed the connection")
        if self._writable is not None and not self._writable.done():
            self._writable.set_exception(gone)
            self._writable.exception()  # heard or not, it is no error of ours
        if self._exchange is not None:
            self._exchange.fail(gone)
            if self._exchange.cancellable and self._task is not None:
                self._loop.call_soon(self._task.cancel)  # once it has begun

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None
        if self._state == "idle" and not self.transport.is_closing():
            self._go_on()

    # What the server calls

    @property
    def idle(self) -> bool:
        return self._exchange is None

    @property
    def work(self) -> asyncio.Task[None] | None:
        """The handler that is at work, if one is."""
        return self._task if self._exchange is not None else None

    def close_when_idle(self) -> None:
        """Take no further request."""
        if self._exchange is None:
            self.transport.close()
        else:
            self._exchange.closes = True

    # What exchanges call

    def common_headers(self) -> bytes:
        return self._host.common_headers()

    def write(self, data: bytes) -> None:
        """Send `data`; `ClientGone` when nobody is there."""
        if self._state == "lost" or self.transport.is_closing():
            raise ClientGone("the client has closed the connection")
        self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken most of what was sent."""
        if self._state == "lost":
            raise ClientGone("the client has closed the connection")
        if self._writable is not None:
            await self._writable

    async def send_file(self, file: BinaryIO, offset: int, count: int, stall: float) -> None:
        """Send a part of a file without carrying its bytes through Python, except under TLS.

        `ClientGone` when the client is gone, or takes more than `stall` seconds for a segment.
        """
        end = offset + count
        while offset < end:
            size = min(COPIED if self.encrypted else SEGMENT, end - offset)
            try:
                async with asyncio.timeout(stall):
                    sent = await self._send_segment(file, offset, size)
            except (TimeoutError, OSError, RuntimeError) as error:
                self.transport.abort()
                raise ClientGone("the client does not take what is sent") from error
            if not sent:
                self.transport.abort()
                raise ClientGone("the file is shorter than was said")
            offset += sent

    async def _send_segment(self, file: BinaryIO, offset: int, size: int) -> int:
        if not self.encrypted:
            return await self._loop.sendfile(self.transport, file, offset, size, fallback=False)
        data = await self._loop.run_in_executor(None, os.pread, file.fileno(), size, offset)
        self.write(data)
        await self.drain()
        return len(data)

    async def send_part(self, part: FilePart) -> None:
        """Send what lies in a file, as it lies there where nothing is encrypted."""
        if self.encrypted:
            await self._send_pieces(part.pieces(), chunked=False)
            return
        async with self._lent_for_writing() as sock:
            await aside.send(sock, part)

    async def send_made(self, made: Iterator[bytes], *, chunked: bool) -> None:
        """Send what an iterator makes in a thread, each piece as a chunk if so."""
        if self.encrypted:
            await self._send_pieces(made, chunked=chunked)
            return
        async with self._lent_for_writing() as sock:
            await aside.send_made(sock, made, chunked=chunked)

    async def _send_pieces(self, pieces: Iterator[bytes], *, chunked: bool) -> None:
        try:
            while piece := await finished(lambda: next(pieces, b"")):
                self.write(http.chunk(piece) if chunked else piece)
                await self.drain()
        finally:
            if isinstance(pieces, Generator):
                await finished(pieces.close)

    @contextlib.asynccontextmanager
    async def _lent_for_writing(self) -> AsyncIterator[socket.socket]:
        """Have somebody else write, after all that was written before."""
        self.transport.set_write_buffer_limits(0)
        try:
            await self.drain()
            yield self.transport.get_extra_info("socket")
        finally:
            self.transport.set_write_buffer_limits(WRITE_BUFFER)

    def resume_body(self) -> None:
        """The handler has read; take more from the client."""
        if not self._reading and self._exchange is not None:
            self._feed(self._exchange)

    def lend(self) -> tuple[int, bytes] | None:
        """Stop reading; return the socket, for somebody else to read, and what had been read.

        None under TLS.
        """
        if self.encrypted or self._state != "busy":
            return None
        self._pause_reading()
        read = bytes(self._buffer)
        self._buffer.clear()
        return self.transport.get_extra_info("socket").fileno(), read

    def return_lent(self, read: bytes) -> None:
        """Read again, first what somebody else has read too much."""
        self._buffer[:0] = read
        if self._exchange is not None and self._state == "busy":
            self._feed(self._exchange)

    async def upgrade(self, head: bytes, *, apart: bool) -> Upgraded:
        """Send `head`, wait until it is out, and hand the connection over.

        `apart`: what follows shall not arrive together with it.
        """
        self._pause_reading()
        self.write(head)
        self.transport.set_write_buffer_limits(0)
        await self.drain()
        if apart:
            await _wait_taken(self.transport.get_extra_info("socket"))
        self._disarm()
        self._state = "upgraded"
        if self._task is not None:
            self._host.keep(self._task)
        pending = bytes(self._buffer)
        self._buffer.clear()
        return Upgraded(self.transport, pending)

    # Requests, one after the other

    def _begin(self) -> None:
        """Look for the next request in what has arrived."""
        buffer = self._buffer
        if self._fresh and buffer[:3] == b"PRI":
            if len(buffer) >= len(http.HTTP2_PREFACE):
                self._disarm()
                self._pause_reading()  # until somebody speaks it: that may take a while
                self._state = "upgraded"
                pending = bytes(buffer)
                buffer.clear()
                self._host.speak_http2(self, pending)
                return
            self._arm(HEAD_WITHIN, self._too_slow)
            return
        if buffer[:2] == b"\r\n":
            del buffer[:2]  # some clients end a body with one more line
        end = buffer.find(b"\r\n\r\n", 0, http.HEAD_LIMIT)
        if end < 0:
            self._wait_for_head()
            return
        raw = bytes(buffer[: end + 4])
        del buffer[: end + 4]
        self._disarm()
        self._fresh = False
        try:
            exchange = Exchange(self, http.parse_head(raw))
        except http.BadRequest as refusal:
            self._refuse(refusal.status, str(refusal))
            return
        self._exchange = exchange
        self._state = "busy"
        if buffer or not exchange.body_done:
            self._feed(exchange)
        if self._exchange is not exchange:
            return
        if buffer:  # who asks ahead takes turns with the others
            self._task = self._loop.create_task(self._serve(exchange, None))
        elif (work := self._answer(exchange)) is not None:
            self._task = self._loop.create_task(self._serve(exchange, work))
        else:
            self._exchange = None
            self._next(exchange)

    def _answer(self, exchange: Exchange) -> Work | None:
        """Have a request answered; return what is left to do for that."""
        try:
            return self._host.handler(exchange)
        except ClientGone:
            self.transport.abort()
        except Exception:
            log.exception("answering %s %r", exchange.head.method, exchange.head.target)
            self.transport.abort()
        return None

    def _wait_for_head(self) -> None:
        buffer = self._buffer
        if len(buffer) >= http.HEAD_LIMIT:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "request head is too large")
        elif buffer.count(b"\n") != buffer.count(b"\r\n"):
            self._refuse(HTTPStatus.BAD_REQUEST, "malformed HTTP request: bare line feed")
        elif self._heard_all:
            self.transport.close()
        elif buffer and self._timer is None:
            self._arm(HEAD_WITHIN, self._too_slow)

    def _feed(self, exchange: Exchange) -> None:
        try:
            more = exchange.feed(self._buffer)
        except http.BadRequest as refusal:
            exchange.fail(refusal)
            self._buffer.clear()
            exchange.closes = True
            return
        if not more or len(self._buffer) > SENT_AHEAD:
            self._pause_reading()
        else:
            self._resume_reading()

    async def _serve(self, exchange: Exchange, work: Work | None) -> None:
        try:
            if work := work or self._host.handler(exchange):
                await work
        except ClientGone:
            if self._state != "upgraded":
                self.transport.abort()
        except asyncio.CancelledError:
            if self._state != "upgraded":
                self.transport.abort()
            raise
        except Exception:
            log.exception("answering %s %r", exchange.head.method, exchange.head.target)
            self.transport.abort()
        finally:
            self._exchange = None
            self._task = None
        if self._state == "busy":
            self._next(exchange)

    def _next(self, exchange: Exchange) -> None:
        self._state = "idle"
        if not exchange.answered:
            log.error("no answer to %s %r", exchange.head.method, exchange.head.target)
            self.transport.abort()
        elif exchange.closes:
            self._linger(exchange)
        else:
            self._disarm()
            self._go_on()

    def _go_on(self) -> None:
        """Take the next request or wait for it, once the client has taken what it was answered."""
        if self._writable is not None:
            self._pause_reading()
            return
        self._resume_reading()
        if self._buffer:
            self._begin()
        elif self._heard_all:
            self.transport.close()

    def _linger(self, exchange: Exchange) -> None:
        """Close, but not in the face of a client that still sends: it would not hear the answer."""
        if exchange.body_done and not self._buffer:
            self.transport.close()
            return
        self._state = "lingering"
        self._buffer.clear()
        self._resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._arm(LINGER, self.transport.close)

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer what was no request, and end the connection."""
        body = b"%d %s: %s" % (status, status.phrase.encode(), reason.encode("utf-8", "replace"))
        extra = b"Content-Length: %d\r\nConnection: close\r\n" % len(body)
        headers = (("Content-Type", "text/plain; charset=utf-8"),)
        self.transport.write(http.response_head(status, headers, extra) + body)
        self._state = "lingering"
        self._buffer.clear()
        self._resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._arm(LINGER, self.transport.close)

    def _too_slow(self) -> None:
        self._timer = None
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive")

    # Small things

    def _arm(self, seconds: float, action: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self._loop.call_later(seconds, action)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            with contextlib.suppress(RuntimeError):  # it is closing
                self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            with contextlib.suppress(RuntimeError):
                self.transport.resume_reading()


def _hung_up(transport: asyncio.Transport) -> bool:
    """Tell a client that is gone from one that only has nothing more to say.

    A local socket's other end shows POLLHUP when it is closed; on TCP the two look the same.
    """
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), 0)
    return any(found & (select.POLLHUP | select.POLLERR) for _, found in poll.poll(0))


async def _wait_taken(sock: socket.socket) -> None:
    """Wait until a local client has read all that it was sent, or does not for a while.

    docker-py reads the answer's head through a buffer and what follows without it: of output that
    arrives together with the head it loses what the buffer took. Only a unix socket can tell.
    """
    if sock.family != socket.AF_UNIX:
        return
    unread = array.array("i", [0])
    for pause in _TAKEN_PAUSES:
        fcntl.ioctl(sock.fileno(), _SIOCOUTQ, unread)
        if not unread[0]:
            return
        await asyncio.sleep(pause)
