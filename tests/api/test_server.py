"""Statuses, bodies, streams and upgrades over a real socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from tests.api import sample_routes
from tests.api.conftest import Serve
from tests.support import certificates
from tests.support.engine import PATIENCE
from tests.support.serving import Served

from boxship.transport.server import Server
from boxship.transport.upgrade import Upgraded
from boxship.wire import http, websocket

Diary = sample_routes.Diary


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def served(serve: Serve, diary: Diary) -> Served:
    return serve([sample_routes], {Diary: diary})


def wait_until(condition: Callable[[], bool], within: float = 5) -> bool:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def exchange(served: Served, data: bytes) -> bytes:
    """Send raw bytes and return all that comes back until the end."""
    with served.connect() as connection:
        connection.sendall(data)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    received = b""
    while mark not in received:
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    return received


def test_each_answer_says_who_speaks_and_which_versions(served: Served) -> None:
    answer = served.get("/quick")
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers["Api-Version"] == "1.56"
    assert answer.headers["Docker-Experimental"] == "false"
    assert answer.headers["Ostype"] == "linux"
    assert answer.headers["Server"].startswith("Boxship/")
    assert "GMT" in answer.headers["Date"]


def test_a_body_becomes_a_document_and_a_part_is_given(served: Served, diary: Diary) -> None:
    answer = served.post("/v1.41/notes", {"Text": "hello", "Count": 2, "Unknown": []})
    assert (answer.status, answer.document) == (201, {"Text": "hello", "Count": 2})
    assert answer.headers["Content-Type"] == "application/json"
    assert diary.lines == ["hello"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "invalid JSON"),
        (b'{"Text": 1}', "invalid JSON"),
        (b'{"Text": "a"} {}', "unexpected content after JSON"),
        (b'{"Text": "a", "Text": "b"}', "duplicate key"),
        (b'{"Count": NaN}', "NaN"),
        (b'{"Count": 1e400}', "invalid JSON"),
        (b'{"Count": ' + b"9" * 10000 + b"}", "invalid JSON"),
        (b'{"X": ' + b"[" * 100_000, "invalid JSON"),
        (b'{"X": ' + b"[" * 70 + b"]" * 70 + b"}", "nested deeper than 64"),
        (b'{"Text": "\\ud800"}', "invalid JSON"),
        (b'{"Text": "\xff"}', "invalid JSON"),
    ],
)
def test_json_from_strangers_is_bounded(served: Served, body: bytes, message: str) -> None:
    answer = served.request("POST", "/notes", body, {"Content-Type": "application/json"})
    assert answer.status == 400
    assert message in answer.message


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(served: Served) -> None:
    head = b"POST /notes HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    assert exchange(served, head).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_another_type_is_refused_in_dockers_words(served: Served) -> None:
    answer = served.request("POST", "/notes", b"x", {"Content-Type": "text/plain"})
    expected = "unsupported Content-Type header (text/plain): must be 'application/json'"
    assert (answer.status, answer.message) == (400, expected)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/notes/x/json", 404, "No such note: x"),
        ("/notes/busy/json", 409, "it is busy"),
        ("/notes/broken/json", 500, "a bug"),
        ("/nowhere", 404, "page not found"),
        ("/v1.41/v1.41/quick", 404, "page not found"),
        ("/v1.49/new", 404, "page not found"),
        (
            "/v1.23/quick",
            400,
            "client version 1.23 is too old. Minimum supported API version is 1.24, "
            "please upgrade your client to a newer version",
        ),
        (
            "/v1.99/quick",
            400,
            "client version 1.99 is too new. Maximum supported API version is 1.56",
        ),
        ("/v1.99/nowhere", 404, "page not found"),
    ],
)
def test_errors_are_documents(served: Served, path: str, status: int, message: str) -> None:
    answer = served.get(path)
    assert (answer.status, answer.document) == (status, {"message": message})


def test_a_wrong_method_is_a_page_not_found(served: Served) -> None:
    assert served.delete("/quick").message == "page not found"


def test_what_is_so_already_is_answered_without_a_body(served: Served) -> None:
    answer = served.get("/notes/same/json")
    assert (answer.status, answer.body) == (304, b"")


def test_both_filter_syntaxes_mean_the_same(served: Served) -> None:
    for form in ('{"label":["a","b"]}', '{"label":{"a":true,"b":true,"c":false}}'):
        answer = served.get(f"/query?all=1&limit=3&filters={form.replace(chr(34), '%22')}")
        assert answer.document == {"all": True, "limit": 3, "labels": ["a", "b"]}
    refused = served.get("/query?filters=%7B%22x%22%3A%5B%221%22%5D%7D")
    assert (refused.status, refused.message) == (400, "invalid filter 'x'")


def test_any_path_answers_options(served: Served) -> None:
    for target in (b"*", b"/anything"):
        request = b"OPTIONS %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target
        assert exchange(served, request).startswith(b"HTTP/1.1 200 OK")


def test_requests_sent_ahead_are_answered_in_order(served: Served) -> None:
    paths = [b"/notes/there/json", b"/nowhere", b"/quick"]
    requests = b"".join(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in paths)
    with served.connect() as connection:
        connection.sendall(requests[:30])
        time.sleep(0.02)
        connection.sendall(requests[30:])
        received = read_until(connection, b"\r\n\r\nOK")
    codes = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert codes == [b"200", b"404", b"200"]


def test_a_client_that_takes_no_answers_is_not_read_from_any_more(served: Served) -> None:
    request = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
    most = 8 << 20
    sent = 0
    with served.connect() as connection:
        connection.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while sent < most:
                sent += connection.send(request * 1000)
        assert sent < most
        connection.settimeout(PATIENCE)
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection).count(b"\r\n\r\nOK") == sent // len(request)


def test_a_client_that_has_said_all_is_answered_and_left(served: Served) -> None:
    """It waits for the end of the connection, as `nc -N` does."""
    with served.connect() as connection:
        connection.sendall(b"GET /ticks?n=3 HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection).endswith(b"\r\n0\r\n\r\n")


def test_a_chunked_body_arrives_whole_however_it_is_cut(served: Served) -> None:
    pieces = [b"a" * 1000, b"b" * 70_000, b"c"]
    body = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    body += b"0\r\nTrailer: x\r\n\r\n"
    head = b"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served.connect() as connection:
        data = head + body + b"GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        for start in range(0, len(data), 4099):
            connection.sendall(data[start : start + 4099])
        received = read_all(connection)
    assert b'{"size":71001}' in received
    assert received.endswith(b"OK")


def test_a_client_that_waits_is_told_to_continue(served: Served) -> None:
    with served.connect() as connection:
        head = b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
        connection.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert read_until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert b'{"size":3}' in read_until(connection, b"}")


def test_a_refusal_reaches_a_client_that_is_still_sending(served: Served) -> None:
    with served.connect() as connection:
        head = b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
        connection.sendall(head)
        connection.settimeout(1)
        try:
            for _ in range(20):
                connection.sendall(b"x" * 100_000)
        except OSError:
            pass
        assert b"not today" in read_all(connection)


def test_a_stream_ends_when_its_client_leaves(served: Served, diary: Diary) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET /ticks HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"tick 0" in read_until(connection, b"tick 0\n")
    assert wait_until(lambda: diary.lines == ["begun", "ended"])


@pytest.mark.parametrize("path", [b"/file", b"/made"])
def test_what_a_thread_sends_comes_whole_to_a_client_that_takes_its_time(
    served: Served, diary: Diary, path: bytes
) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)
        received = read_until(connection, b"before \r\n")
        time.sleep(0.2)  # longer than a thread waits
        received += read_all(connection)
    size = b"%x" % len(sample_routes.CONTENT)
    expected = (b"7", b"before ", size, sample_routes.CONTENT, b"6", b" after", b"0", b"", b"")
    assert received.partition(b"\r\n\r\n")[2] == b"\r\n".join(expected)
    assert diary.lines == ["given back"]


@pytest.mark.parametrize("path", ["/file", "/made"])
def test_what_a_thread_sends_is_encrypted_where_all_is(
    served: Served, tmp_path: Path, path: str
) -> None:
    certificates.make(tmp_path)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(tmp_path / "server-cert.pem", tmp_path / "server-key.pem")
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    served.run(lambda: served.server.listen(listening, server_side))
    client_side = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    client = HTTPSConnection("localhost", listening.getsockname()[1], context=client_side)
    with contextlib.closing(client):
        client.request("GET", path)
        assert client.getresponse().read() == b"before " + sample_routes.CONTENT + b" after"


@pytest.mark.parametrize("path", [b"/file", b"/made"])
def test_a_file_is_given_back_when_its_client_leaves(
    served: Served, diary: Diary, path: bytes
) -> None:
    with served.connect() as connection:
        connection.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        read_until(connection, b"before ")
    assert wait_until(lambda: diary.lines == ["given back"])


def test_a_stream_that_fails_half_way_does_not_look_whole(served: Served) -> None:
    received = exchange(served, b"GET /breaks HTTP/1.1\r\nHost: x\r\n\r\n")
    assert received.endswith(b"4\r\nsome\r\n")


def test_what_a_thread_fails_to_make_does_not_look_whole(served: Served, diary: Diary) -> None:
    received = exchange(served, b"GET /made?fails=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert received.endswith(sample_routes.CONTENT + b"\r\n")
    assert diary.lines == ["given back"]


def test_a_stream_waits_for_a_slow_client(served: Served, diary: Diary) -> None:
    answer = served.get("/ticks?n=3")
    assert answer.body == b"tick 0\ntick 1\ntick 2\n"
    assert answer.headers["Transfer-Encoding"] == "chunked"


def test_a_question_ends_with_its_client_and_a_change_is_finished(
    served: Served, diary: Diary
) -> None:
    for line in (b"GET /slow", b"POST /work"):
        with served.connect() as connection:
            connection.sendall(line + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.05)
    assert wait_until(lambda: sorted(diary.lines) == ["finished", "left"])


@pytest.mark.parametrize("upgrade", [b"Connection: Upgrade\r\nUpgrade: tcp\r\n", b""])
def test_a_hijacked_connection_is_handed_over_with_what_was_sent_ahead(
    served: Served, upgrade: bytes
) -> None:
    with served.connect() as connection:
        head = b"POST /v1.41/attach HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
        connection.sendall(head + upgrade + b"\r\n{}ahead ")
        received = read_until(connection, b"AHEAD ")
        assert received.startswith(b"HTTP/1.1 101 " if upgrade else b"HTTP/1.1 200 OK")
        assert b"Content-Type: application/vnd.docker.raw-stream" in received
        connection.sendall(b"later")
        assert read_until(connection, b"LATER") == b"LATER"
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""


def test_a_websocket_carries_the_same_stream(served: Served) -> None:
    key = base64.b64encode(b"0123456789abcdef")
    with served.connect() as connection:
        connection.sendall(
            b"GET /attach/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
        )
        head = read_until(connection, b"\r\n\r\n")
        assert websocket.accept(key.decode()).encode() in head
        mask = b"\x01\x02\x03\x04"
        masked = websocket.unmask(b"hello", mask, 0)
        connection.sendall(bytes([0x82, 0x80 | 5]) + mask + masked)
        assert read_until(connection, b"HELLO") == b"\x82\x05HELLO"
        connection.sendall(bytes([0x88, 0x80]) + mask)
        assert read_all(connection) == websocket.close_frame(1000)


def test_http2_is_recognised_and_refused_in_its_own_terms(served: Served) -> None:
    received = exchange(served, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0")
    assert received[3] == 4
    assert b"HTTP/2 is not spoken here" in received


def test_what_comes_before_somebody_speaks_http2_is_kept_for_them(tmp_path: Path) -> None:
    """The engine's builder is loaded for its first client: some tenths of a second."""
    pieces = [http.HTTP2_PREFACE, b"what", b"follows", b"end"]
    came = bytearray()
    taken = 0

    async def story() -> None:
        begun, ready, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        class Heard(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                came.extend(data)
                if came.endswith(pieces[-1]):
                    ended.set()

        async def speak(upgraded: Upgraded) -> None:
            nonlocal taken
            taken += 1
            begun.set()
            await ready.wait()
            upgraded.adopt(Heard())

        server = Server(no_requests, b"", http2=speak)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(tmp_path / "s"))
        await server.listen(sock)
        _, client = await asyncio.open_unix_connection(tmp_path / "s")
        client.write(pieces[0])
        await begun.wait()
        for piece in pieces[1:]:
            client.write(piece)
            await asyncio.sleep(0.02)
        ready.set()
        await ended.wait()
        client.close()
        await server.stop(1)

    asyncio.run(asyncio.wait_for(story(), 20 * PATIENCE))
    assert bytes(came) == b"".join(pieces)
    assert taken == 1


async def no_requests(_exchange: object) -> None:
    raise AssertionError("nobody asks here")
