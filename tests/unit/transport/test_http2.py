"""gRPC calls between two ends of a connection in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.support.pipes import MemoryTransport, StuckTransport, connect

from boxship.errors import NotFound
from boxship.transport import http2
from boxship.transport.http2 import ConnectionLost, Http2, Stream
from boxship.wire.grpc import Code, Failed


async def serve(stream: Stream) -> None:
    match stream.path:
        case "/t/Echo":
            while (message := await stream.receive()) is not None:
                await stream.send(message)
        case "/t/Missing":
            raise NotFound("no such thing: ü%")
        case "/t/Wait":
            await asyncio.sleep(60)
        case "/t/Early":
            await stream.receive()
            await stream.send(b"done")
        case "/t/Seen":
            await stream.receive()
            await stream.send(",".join(stream.metadata["dir-name"]).encode())
        case _:
            raise Failed(Code.UNIMPLEMENTED, "unknown")


def on_pair(
    story: Callable[[Http2, tuple[MemoryTransport, ...]], Awaitable[None]], piece: int = 0
) -> None:
    async def run() -> None:
        server, client = Http2(serve), Http2()
        ends = connect(server, client)
        for end in ends:
            end.piece = piece
        async with asyncio.timeout(20):
            await story(client, ends)
        client.close()
        await client.wait_closed()
        await server.wait_closed()

    asyncio.run(run())


@pytest.mark.parametrize("piece", [0, 1, 7])
def test_a_call_is_answered_however_its_bytes_are_cut(piece: int) -> None:
    async def story(client: Http2, ends: object) -> None:
        assert await client.ask("/t/Echo", b"x" * 3000) == b"x" * 3000

    on_pair(story, piece)


def test_messages_larger_than_the_windows_arrive_whole() -> None:
    async def story(client: Http2, ends: object) -> None:
        big = bytes(range(256)) * (9 << 12)
        assert await client.ask("/t/Echo", big) == big

    on_pair(story)


def test_a_failure_keeps_its_kind_and_words() -> None:
    async def story(client: Http2, ends: object) -> None:
        with pytest.raises(Failed) as failure:
            await client.ask("/t/Missing", b"")
        assert (failure.value.code, str(failure.value)) == (Code.NOT_FOUND, "no such thing: ü%")

    on_pair(story)


def test_repeated_metadata_arrives_in_order() -> None:
    async def story(client: Http2, ends: object) -> None:
        said = [("dir-name", "a"), ("dir-name", "b")]
        assert await client.ask("/t/Seen", b"", said) == b"a,b"

    on_pair(story)


def test_what_the_server_said_before_it_ended_is_read_though_we_go_on_sending() -> None:
    async def story(client: Http2, ends: object) -> None:
        stream = client.open("/t/Early")
        await stream.send(b"first")
        assert await stream.receive() == b"done"
        assert await stream.receive() is None
        with pytest.raises(Failed):
            await stream.send(*[b"more" * 1000] * 1000)
        stream.cancel()

    on_pair(story)


def test_a_call_that_is_given_up_ends_what_serves_it() -> None:
    async def story(client: Http2, ends: tuple[MemoryTransport, ...]) -> None:
        stream = client.open("/t/Wait")
        await asyncio.sleep(0.01)
        server = ends[0].protocol
        assert isinstance(server, Http2)
        assert len(server._tasks) == 1
        stream.cancel()
        await asyncio.wait(server._tasks)

    on_pair(story)


def test_a_deadline_ends_a_call_on_both_sides() -> None:
    async def story(client: Http2, ends: object) -> None:
        with pytest.raises(Failed) as failure:
            await client.ask("/t/Wait", b"", timeout=0.05)
        assert failure.value.code is Code.DEADLINE_EXCEEDED

    on_pair(story)


def test_calls_fail_when_the_connection_goes() -> None:
    async def story(client: Http2, ends: tuple[MemoryTransport, ...]) -> None:
        stream = client.open("/t/Wait")
        asyncio.get_running_loop().call_later(0.01, ends[0].close)
        with pytest.raises(ConnectionLost):
            await stream.receive()
        with pytest.raises(ConnectionLost):
            client.open("/t/Echo")

    on_pair(story)


def test_a_message_that_is_too_large_ends_the_connection() -> None:
    async def run() -> None:
        server, client = Http2(serve, limit=1000), Http2()
        connect(server, client)
        async with asyncio.timeout(20):
            with pytest.raises((Failed, ConnectionLost)):
                await client.ask("/t/Echo", b"x" * 2000)
            await client.wait_closed()

    asyncio.run(run())


def test_a_slow_reader_holds_up_the_sender() -> None:
    async def run() -> None:
        received: list[int] = []
        go = asyncio.Event()

        async def slow(stream: Stream) -> None:
            await go.wait()
            while (message := await stream.receive()) is not None:
                received.append(len(message))
            await stream.send(b"")

        server, client = Http2(slow), Http2()
        connect(server, client)
        stream = client.open("/t/Slow")
        sent = 0

        async def push() -> None:
            nonlocal sent
            for _ in range(400):
                await stream.send(b"x" * 32768)
                sent += 1
            await stream.finish()

        async with asyncio.timeout(20):
            task = asyncio.ensure_future(push())
            await asyncio.sleep(0.2)
            assert sent < 100
            go.set()
            await task
            assert await stream.receive() == b""
        assert sum(received) == 400 * 32768
        client.close()
        await client.wait_closed()

    asyncio.run(run())


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ASKING = {
    "pings": b"\0\0\x08\x06\0\0\0\0\0" + bytes(8),
    "settings": b"\0\0\0\x04\0\0\0\0\0",
}


@pytest.mark.parametrize("kind", ASKING)
def test_who_asks_for_answers_and_reads_none_is_let_go(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2, "UNREAD", 16 << 10)

    async def run() -> None:
        server, stuck = Http2(serve), StuckTransport()
        stuck.protocol = server
        server.connection_made(stuck)
        stuck.arrive(PREFACE + b"\0\0\0\x04\0\0\0\0\0")
        for _ in range(100):
            stuck.arrive(100 * ASKING[kind])
            await asyncio.sleep(0)
        assert stuck.closing
        assert stuck.unread < 32 << 10

    asyncio.run(run())
