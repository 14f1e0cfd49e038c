"""gRPC over one HTTP/2 connection under asyncio, from either side.

Which side calls is not which side connected: on `/session` the engine calls the client whose
connection it is. A peer that sends faster than we read is held up by HTTP/2's windows: of each
call at most `grpcstream.READ_AHEAD` bytes of whole messages and one unfinished message are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from boxship.errors import BoxshipError
from boxship.transport import inflow
from boxship.transport.grpcstream import ConnectionLost, Stream
from boxship.wire import grpc
from boxship.wire.grpc import Code, Failed, Header, Metadata

log = logging.getLogger(__name__)

__all__ = ["ConnectionLost", "Http2", "Serve", "Stream"]

WRITE_BUFFER: Final = 512 << 10
UNREAD: Final = 8 << 20  # bytes that a peer may leave unread; a frame of each call is half of it
STREAM_WINDOW: Final = 1 << 20
CONNECTION_WINDOW: Final = 16 << 20
FIRST_WINDOW: Final = 65535  # a connection's, before it is widened
STREAMS: Final = 256  # calls that a peer may have open
RESETS: Final = 1000  # calls that a peer may give up without an answer, in a row
KEEPALIVE: Final = 30.0
KEEPALIVE_WITHIN: Final = 30.0

Serve = Callable[[Stream], Awaitable[None]]


class Http2(asyncio.Protocol):
    """A connection on which one side calls and the other serves."""

    def __init__(
        self,
        serve: Serve | None = None,
        *,
        limit: int = grpc.LIMIT,
        gone: Callable[[], None] | None = None,
    ) -> None:
        """With `serve` the other side calls; without it we do. `gone` hears of the end."""
        self.calls = serve is None
        self.closed = asyncio.Event()
        self._serve = serve
        self._limit = limit
        self._gone = gone
        self._streams: dict[int, Stream] = {}
        self._inflow = inflow.Inflow(
            self._streams,
            serving=not self.calls,
            window=FIRST_WINDOW + CONNECTION_WINDOW,
            call_window=STREAM_WINDOW,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._writable = asyncio.Event()
        self._writable.set()
        self._resets = 0
        self._pinged: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=self.calls,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=not self.calls,
            )
        )
        self._h2.local_settings = h2.settings.Settings(
            client=self.calls,
            initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 20,
            },
        )

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(WRITE_BUFFER)
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW)
        self._flush()
        if not self.calls:  # Go's servers take pings from a caller for an attack
            self._arm_ping()

    def data_received(self, data: bytes) -> None:
        try:
            for piece in self._inflow.cut(data):
                for event in self._h2.receive_data(piece):
                    self._heed(event)
        except inflow.TooMuch as error:
            log.debug("an HTTP/2 connection broke the rules: %s", error)
            self.close(h2.errors.ErrorCodes.FLOW_CONTROL_ERROR)
            return
        except (h2.exceptions.ProtocolError, grpc.BadMessage) as error:
            log.debug("an HTTP/2 connection broke the rules: %s", error)
            self._flush()
            self.close()
            return
        self._flush()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._pinged is not None:
            self._pinged.cancel()
        self._writable.set()
        self.closed.set()
        for stream in list(self._streams.values()):
            stream.fail(ConnectionLost("the connection to the other side was lost"))
            if stream.work is not None:
                stream.work.cancel()
        self._streams.clear()
        if self._gone is not None:
            self._gone()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # Calling

    def open(
        self, path: str, metadata: Iterable[Header] = (), timeout: float | None = None
    ) -> Stream:
        """Begin a call."""
        if self.closed.is_set() or self._transport is None:
            raise ConnectionLost("the connection to the other side was lost")
        try:
            number = self._h2.get_next_available_stream_id()
            headers = grpc.request_headers(path, metadata, timeout)
            self._h2.send_headers(number, headers)
        except h2.exceptions.ProtocolError as error:
            raise ConnectionLost(f"no call can be made on the connection: {error}") from error
        stream = self._streams[number] = Stream(self, number, path, self._limit)
        self._flush()
        return stream

    async def ask(
        self,
        path: str,
        request: bytes,
        metadata: Iterable[Header] = (),
        timeout: float | None = None,
    ) -> bytes:
        """Make a call of one request and one answer."""
        stream = self.open(path, metadata, timeout)
        try:
            async with asyncio.timeout(timeout):
                with contextlib.suppress(Failed):  # told by what is received
                    await stream.send(request, end=True)
                answer = await stream.receive()
                if answer is None:
                    raise Failed(Code.INTERNAL, f"{path}: no answer")
                while await stream.receive() is not None:
                    raise Failed(Code.INTERNAL, f"{path}: more than one answer")
                return answer
        except TimeoutError:
            raise Failed(Code.DEADLINE_EXCEEDED, f"{path}: no answer in time") from None
        finally:
            stream.cancel()

    def close(self, why: h2.errors.ErrorCodes = h2.errors.ErrorCodes.NO_ERROR) -> None:
        """End the connection and all calls on it."""
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._h2.close_connection(why)
            self._flush()
            self._transport.close()

    async def wait_closed(self) -> None:
        """Wait until the connection has ended and with it what served it."""
        await self.closed.wait()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # What streams call

    def acknowledge(self, number: int, size: int) -> None:
        stream = self._streams.get(number)
        if stream is None or stream.is_counted:
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._h2.acknowledge_received_data(size, number)
            self._flush()
        elif update := self._inflow.give_back(size, number if stream.takes_data else None):
            self._write(update)

    def send_headers(self, number: int, headers: list[Header], *, end: bool = False) -> None:
        try:
            self._h2.send_headers(number, headers, end_stream=end)
        except h2.exceptions.ProtocolError as error:
            raise ConnectionLost(f"the call has ended: {error}") from error
        self._flush()

    async def send_data(self, stream: Stream, number: int, data: bytes, *, end: bool) -> None:
        """Send data as the windows and the socket allow."""
        view, at = memoryview(data), 0
        while True:
            stream.check_writable()
            if self.closed.is_set():
                raise ConnectionLost("the connection to the other side was lost")
            try:
                room = min(
                    self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size
                )
                left = len(data) - at
                if left and room <= 0:
                    self._flush()
                    await stream.wait_window()
                    continue
                size = min(room, left)
                last = end and at + size == len(data)
                if size or last:
                    self._h2.send_data(number, bytes(view[at : at + size]), end_stream=last)
            except h2.exceptions.ProtocolError as error:
                raise Failed(Code.CANCELLED, f"the call has ended: {error}") from error
            at += size
            self._flush()
            if at == len(data):
                break
            await self._writable.wait()
        await self._writable.wait()

    def reset(self, number: int, code: h2.errors.ErrorCodes = h2.errors.ErrorCodes.CANCEL) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._h2.reset_stream(number, code)
        self._flush()

    def forget(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is not None and stream.unacknowledged:
            self.acknowledge(number, stream.unacknowledged)
            stream.unacknowledged = 0
        self._streams.pop(number, None)

    # Events

    def _heed(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.DataReceived():
                stream = self._streams.get(event.stream_id)
                if stream is None:
                    self.acknowledge(event.stream_id, event.flow_controlled_length)
                else:
                    stream.take(event.data, event.flow_controlled_length)
            case h2.events.RequestReceived():
                self._begin(event.stream_id, grpc.collect(event.headers))
            case h2.events.ResponseReceived():
                if stream := self._streams.get(event.stream_id):
                    stream.metadata = grpc.collect(event.headers)
                    stream.trailers = stream.metadata  # an answer of trailers only
            case h2.events.TrailersReceived():
                if stream := self._streams.get(event.stream_id):
                    stream.trailers = grpc.collect(event.headers)
            case h2.events.StreamEnded():
                if stream := self._streams.get(event.stream_id):
                    stream.end()
            case h2.events.StreamReset():
                self._given_up(event)
            case h2.events.WindowUpdated():
                if event.stream_id:
                    if stream := self._streams.get(event.stream_id):
                        stream.widen()
                else:
                    self._widen_all()
            case h2.events.RemoteSettingsChanged():
                self._widen_all()
            case h2.events.PingAckReceived():
                if not self.calls:
                    self._arm_ping()
            case h2.events.ConnectionTerminated():
                for number, stream in list(self._streams.items()):
                    if number > (event.last_stream_id or 0) or event.error_code:
                        stream.fail(ConnectionLost("the other side ended the connection"))
                if event.error_code or not self._streams:
                    self.close()

    def _widen_all(self) -> None:
        for stream in self._streams.values():
            stream.widen()

    def _given_up(self, event: h2.events.StreamReset) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        if self.calls:
            # Go's server resets, with no error, a call whose caller has not finished sending
            if event.error_code == h2.errors.ErrorCodes.NO_ERROR and stream.trailers:
                stream.end()
            else:
                stream.fail(Failed(Code.UNAVAILABLE, "the other side gave the call up"))
            return
        stream.fail(Failed(Code.CANCELLED, "the caller has gone"))
        if stream.work is not None and not stream.work.done():
            stream.work.cancel()
            self._resets += 1
            if self._resets > RESETS:
                self.close()

    # Serving

    def _begin(self, number: int, headers: Metadata) -> None:
        assert self._serve is not None
        path = headers.get(":path", ("",))[0]
        kind = headers.get("content-type", ("",))[0]
        if headers.get(":method", ("",))[0] != "POST" or not kind.startswith(grpc.CONTENT_TYPE):
            with contextlib.suppress(ConnectionLost):  # it was given up in the same breath
                self.send_headers(number, [(":status", "415")], end=True)
            return
        stream = self._streams[number] = Stream(self, number, path, self._limit)
        stream.metadata = headers
        stream.work = task = self._loop.create_task(self._answer(number, stream, self._serve))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:  # also one that was given up before it began
            self._tasks.discard(task)
            self.forget(number)

        task.add_done_callback(ended)

    async def _answer(self, number: int, stream: Stream, serve: Serve) -> None:
        code, message, details = Code.OK, "", b""
        try:
            async with asyncio.timeout(grpc.timeout_of(stream.metadata)):
                await serve(stream)
            self._resets = 0
        except Failed as error:
            code, message, details = error.code, str(error), error.details
        except TimeoutError:
            code, message = Code.DEADLINE_EXCEEDED, "context deadline exceeded"
        except BoxshipError as error:
            code, message = grpc.code_of(error), str(error)
        except asyncio.CancelledError:
            if self.closed.is_set() or stream.over:
                raise
            code, message = Code.CANCELLED, "the engine stops"
        except Exception as error:
            log.exception("serving %s", stream.path)
            code, message = Code.UNKNOWN, str(error) or type(error).__name__
        with contextlib.suppress(BoxshipError):
            stream.conclude(code, message, details)
            if not stream.over:  # the caller would go on sending
                self.reset(number, h2.errors.ErrorCodes.NO_ERROR)

    # Keeping alive

    def _arm_ping(self) -> None:
        if self._pinged is not None:
            self._pinged.cancel()
        self._pinged = self._loop.call_later(KEEPALIVE, self._ping)

    def _ping(self) -> None:
        """Ask whether the other side is still there; close when it does not answer."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._h2.state_machine.state is h2.connection.ConnectionState.CLOSED:
            return
        self._h2.ping(b"boxship\0")
        self._flush()
        self._pinged = self._loop.call_later(KEEPALIVE_WITHIN, self._abort)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > UNREAD:
                log.debug("an HTTP/2 connection does not read what it is answered")
                self._transport.abort()
