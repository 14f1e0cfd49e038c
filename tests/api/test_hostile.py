"""Clients that mean harm: desync, floods, slow senders, web pages, other spellings."""

from __future__ import annotations

import socket
import time

import pytest
from tests.api import sample_routes
from tests.api.conftest import Serve
from tests.api.test_server import Diary, exchange, read_all, wait_until
from tests.support.serving import Served

from boxship.transport import connection as connections


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve([sample_routes], {Diary: Diary()})


SMUGGLED = b"GET /notes/there/json HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n",
        b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0bchunked\r\n\r\n",
        b"POST /count HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
        b"POST /count HTTP/1.1\nHost: x\n\n",
        b"GET /quick HTTP/1.1\r\nHost: x\r\nA:" + b"b" * 300_000 + b"\r\n\r\n",
        b"GET /" + b"q" * 300_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /quick HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
    ],
)
def test_one_refusal_and_the_connection_ends(served: Served, data: bytes) -> None:
    """What stands behind a request that is read in two ways must never be read at all."""
    received = exchange(served, data + SMUGGLED)
    assert received.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431", b"HTTP/1.1 501"))
    assert received.count(b"HTTP/1.1 ") == 1


def test_a_broken_chunk_is_refused_and_ends_the_connection(served: Served) -> None:
    head = b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    received = exchange(served, head + b"3\r\nabcXX\r\n0\r\n\r\n" + SMUGGLED)
    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1 ") == 1


def test_a_head_that_dribbles_in_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_WITHIN", 0.2)
    served = serve([sample_routes], {Diary: Diary()})
    with served.connect() as connection:
        connection.sendall(b"GET /quick HT")
        assert read_all(connection).startswith(b"HTTP/1.1 408")


def test_many_silent_connections_keep_nobody_waiting(served: Served) -> None:
    silent = [served.connect() for _ in range(400)]
    try:
        for one in silent:
            one.sendall(b"GET /qu")
        begun = time.monotonic()
        assert served.get("/quick").status == 200
        assert time.monotonic() - begun < 5
    finally:
        for one in silent:
            one.close()
    assert wait_until(lambda: len(served.server._connections) == 0)


def test_who_asks_ahead_and_does_not_read_is_answered_no_further(serve: Serve) -> None:
    diary, asked = Diary(), 200
    served = serve([sample_routes], {Diary: diary})
    with served.connect() as connection:
        connection.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n" * asked)
        assert not wait_until(lambda: len(diary.lines) > asked // 2, within=1)
        connection.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = read_all(connection)
    assert received.count(sample_routes.PAGE) == asked + 1
    assert len(diary.lines) == asked + 1


def test_the_oldest_idle_connection_makes_room(served: Served) -> None:
    served.server._most = 3
    made = [served.connect() for _ in range(4)]
    assert wait_until(lambda: len(served.server._connections) == 3)
    assert made[0].recv(1) == b""
    for one in made:
        one.close()


def test_dropped_streams_leave_nothing(served: Served) -> None:
    for _ in range(200):
        with served.connect() as connection:
            connection.sendall(b"GET /ticks HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.recv(1)
    assert wait_until(lambda: not served.server._connections)

    async def tasks() -> int:
        import asyncio

        return len(asyncio.all_tasks())

    assert wait_until(lambda: served.run(tasks) <= 2)


def test_a_web_page_is_refused(served: Served) -> None:
    answer = served.get("/quick", Origin="http://evil.example")
    assert answer.status == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("127.0.0.1", 200), ("[::1]:2375", 200), ("10.1.2.3:2375", 200),
        ("engine.example:2375", 200), ("evil.example", 403), ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example:2375", 403),
    ],
)  # fmt: skip
def test_over_tcp_a_name_of_somebody_else_is_refused(serve: Serve, host: str, status: int) -> None:
    """A page that rebinds its own name to our address still sends that name."""
    served = serve([sample_routes], {Diary: Diary()}, hosts=["engine.example"])
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    served.run(lambda: served.server.listen(listening))
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(f"GET /quick HTTP/1.1\r\nHost: {host}\r\n".encode())
        connection.sendall(b"Connection: close\r\n\r\n")
        assert read_all(connection).startswith(f"HTTP/1.1 {status} ".encode())


def test_over_tcp_forms_are_refused(serve: Serve) -> None:
    served = serve([sample_routes], {Diary: Diary()})
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    served.run(lambda: served.server.listen(listening))
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(
            b"POST /notes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 3\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\na=b"
        )
        assert read_all(connection).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("path", ["//quick", "/x/../quick", "/./quick", "/%2e%2e/quick"])
def test_another_spelling_is_sent_to_the_plain_one(served: Served, path: str) -> None:
    answer = served.get(path)
    assert (answer.status, answer.headers["Location"]) == (301, "/quick")
