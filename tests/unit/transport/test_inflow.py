"""DATA frames that go past h2: to their calls, in order, within the windows."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pipes import connect

from boxship.transport.http2 import STREAM_WINDOW, Http2, Stream
from boxship.transport.inflow import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEADERS,
    LARGEST,
    PADDED,
    PREFACE,
    TOGETHER,
    Inflow,
    TooMuch,
)

WINDOW, CALL_WINDOW = 100_000, 60_000


@dataclass
class Heard:
    """A call that notes what it is given."""

    unacknowledged: int = 0
    takes_data: bool = True
    is_counted: bool = False
    data: bytearray = field(default_factory=bytearray)

    def take(self, data: memoryview, size: int) -> None:
        self.data += data
        self.unacknowledged += size


def frame(kind: int, flags: int, number: int, body: bytes = b"") -> bytes:
    return HEAD.pack(len(body) >> 8, len(body) & 255, kind, flags, number) + body


def inflow(calls: dict[int, Heard], *, serving: bool = False) -> Inflow:
    return Inflow(calls, serving=serving, window=WINDOW, call_window=CALL_WINDOW)


def cut(taking: Inflow, data: bytes, size: int = 0) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    return b"".join(rest for piece in pieces for rest in taking.cut(piece))


FRAMES = st.lists(
    st.tuples(st.sampled_from([0, 2, 3, 4, 6, 7, 8]), st.sampled_from([1, 3]),
              st.binary(max_size=50)),
    max_size=20,
)  # fmt: skip


@given(FRAMES, st.integers(1, 70), st.booleans())
def test_however_it_is_cut_data_goes_to_its_call_and_the_rest_to_h2(
    frames: list[tuple[int, int, bytes]], size: int, serving: bool
) -> None:
    calls = {1: Heard()}
    before = b"P" * PREFACE if serving else b""
    sent = before + b"".join(frame(kind, 0, number, body) for kind, number, body in frames)
    rest = [one for one in frames if one[0] != DATA or one[1] != 1]
    expected = before + b"".join(frame(kind, 0, number, body) for kind, number, body in rest)
    assert cut(inflow(calls, serving=serving), sent, size) == expected
    assert bytes(calls[1].data) == b"".join(
        body for kind, number, body in frames if kind == DATA and number == 1
    )


def test_h2_hears_where_a_call_ends() -> None:
    calls = {1: Heard()}
    left = cut(inflow(calls), frame(DATA, END_STREAM, 1, b"last"))
    assert (bytes(calls[1].data), left) == (b"last", frame(DATA, END_STREAM, 1))


@pytest.mark.parametrize(("body", "data", "size"), [
    (b"\3abc\0\0\0", b"abc", 7), (b"\0abc", b"abc", 4), (b"\3\0\0\0", b"", 4),
])  # fmt: skip
def test_padding_counts_and_is_no_data(body: bytes, data: bytes, size: int) -> None:
    calls = {1: Heard()}
    assert cut(inflow(calls), frame(DATA, PADDED, 1, body)) == b""
    assert (bytes(calls[1].data), calls[1].unacknowledged) == (data, size)


@pytest.mark.parametrize("body", [b"", b"\1", b"\5abc"])
def test_padding_longer_than_its_frame_is_left_to_h2(body: bytes) -> None:
    calls = {1: Heard()}
    sent = frame(DATA, PADDED, 1, body)
    assert (cut(inflow(calls), sent), bytes(calls[1].data)) == (sent, b"")


@pytest.mark.parametrize("call", [Heard(takes_data=False), Heard(is_counted=True)])
def test_a_call_that_takes_none_or_is_counted_is_left_to_h2(call: Heard) -> None:
    sent = frame(DATA, 0, 1, b"data")
    assert (cut(inflow({1: call}), sent), bytes(call.data)) == (sent, b"")


def test_data_within_a_header_block_is_left_to_h2() -> None:
    calls = {1: Heard()}
    taking = inflow(calls)
    wrong = frame(HEADERS, 0, 3, b"h") + frame(DATA, 0, 1, b"data")
    assert cut(taking, wrong) == wrong
    ended = frame(CONTINUATION, END_HEADERS, 3)
    assert cut(taking, ended + frame(DATA, 0, 1, b"data")) == ended
    assert bytes(calls[1].data) == b"data"


def test_a_frame_larger_than_any_may_be_is_told_at_once() -> None:
    head = HEAD.pack((LARGEST + 1) >> 8, (LARGEST + 1) & 255, DATA, 0, 1)
    assert cut(inflow({1: Heard()}), head) == head


@pytest.mark.parametrize("numbers", [[1] * 4, [1, 3, 5, 1, 3, 5, 1]])
def test_more_than_a_window_is_refused(numbers: list[int]) -> None:
    calls = {number: Heard() for number in numbers}
    sent = b"".join(frame(DATA, 0, number, b"x" * LARGEST) for number in numbers)
    with pytest.raises(TooMuch):
        cut(inflow(calls), sent)


def test_what_is_given_back_may_be_sent_again() -> None:
    calls = {1: Heard()}
    taking = Inflow(calls, serving=False, window=TOGETHER, call_window=CALL_WINDOW)
    updates = b""
    for _ in range(50):
        assert cut(taking, frame(DATA, 0, 1, b"x" * LARGEST)) == b""
        updates += taking.give_back(calls[1].unacknowledged, 1)
        calls[1].unacknowledged = 0
    given = {0: 0, 1: 0}
    for at in range(0, len(updates), 13):
        number = int.from_bytes(updates[at + 5 : at + 9])
        given[number] += int.from_bytes(updates[at + 9 : at + 13])
    assert given[1] == 50 * LARGEST
    assert given[1] - TOGETHER < given[0] <= given[1]


class Peer(asyncio.Protocol):
    """h2 itself, as the caller."""

    def __init__(self) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.events: list[h2.events.Event] = []
        self.heard = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.events += self.h2.receive_data(data)
        self.flush()
        self.heard.set()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def call(self, *more: tuple[str, str]) -> int:
        number = self.h2.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":path", "/t/T"),
                   (":authority", "x"), ("content-type", "application/grpc"), *more]  # fmt: skip
        self.h2.send_headers(number, headers)
        self.flush()
        return number

    def has_ended(self) -> bool:
        return any(isinstance(event, h2.events.StreamEnded) for event in self.events)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not true():
                self.heard.clear()
                await self.heard.wait()


async def taken(stream: Stream) -> None:
    size = 0
    while (message := await stream.receive()) is not None:
        size += len(message)
    await stream.send(str(size).encode())


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("padded", [None, 7])
def test_a_peer_of_another_make_sends_more_than_all_windows(
    counted: bool, padded: int | None
) -> None:
    async def story() -> None:
        server, peer = Http2(taken), Peer()
        connect(server, peer)
        body = b"\0" + (40 << 20).to_bytes(4) + b"x" * (40 << 20) if not counted else b""
        body = body or b"\0" + (3 << 20).to_bytes(4) + b"x" * (3 << 20)
        server._limit = len(body)
        number = peer.call(*([("content-length", str(len(body)))] if counted else []))
        at = 0
        while at < len(body):
            await peer.until(lambda: peer.h2.local_flow_control_window(number) > 8)
            room = min(peer.h2.local_flow_control_window(number) - 8, 16000)
            peer.h2.send_data(number, body[at : at + room], pad_length=padded)
            at += room
            peer.flush()
        peer.h2.end_stream(number)
        peer.flush()
        await peer.until(peer.has_ended)
        said = b"".join(e.data for e in peer.events if isinstance(e, h2.events.DataReceived))
        assert said[5:] == str(len(body) - 5).encode()
        server.close()
        await server.wait_closed()

    asyncio.run(story())


def test_a_peer_that_heeds_no_window_is_told_so_and_cut_off() -> None:
    async def story() -> None:
        async def waits(stream: Stream) -> None:
            await asyncio.sleep(60)

        server, peer = Http2(waits), Peer()
        connect(server, peer)
        number = peer.call()
        await asyncio.sleep(0.01)
        message = b"\0" + (LARGEST - 5).to_bytes(4) + b"x" * (LARGEST - 5)
        for _ in range(2 * STREAM_WINDOW // LARGEST):
            peer.transport.write(frame(DATA, 0, number, message))
        async with asyncio.timeout(20):
            await server.wait_closed()
        last = [e for e in peer.events if isinstance(e, h2.events.ConnectionTerminated)]
        assert last
        assert last[0].error_code == h2.errors.ErrorCodes.FLOW_CONTROL_ERROR

    asyncio.run(story())


def test_calls_that_are_given_up_give_the_connections_window_back() -> None:
    async def story() -> None:
        async def refuses(stream: Stream) -> None:
            await stream.receive()

        server, peer = Http2(refuses), Peer()
        connect(server, peer)
        body = b"\0" + (1 << 20).to_bytes(4) + b"x" * 30_000
        for _ in range(1000):  # thirty megabytes, of which no message is ever whole
            number = peer.call()
            wide = functools.partial(peer.h2.local_flow_control_window, number)
            await peer.until(lambda wide=wide: wide() >= len(body))
            for at in range(0, len(body), LARGEST):
                peer.h2.send_data(number, body[at : at + LARGEST])
            peer.flush()
            peer.h2.reset_stream(number)
            peer.flush()
            await asyncio.sleep(0)
        server.close()
        await server.wait_closed()

    asyncio.run(story())
