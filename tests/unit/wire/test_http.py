"""HTTP/1.1 as bytes: what is refused, and that cuts do not matter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.wire.http import BadRequest, ChunkedBody, FixedBody, chunk, parse_head, response_head

HOST = b"Host: x\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: -3\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
        b"GET / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\nY: b\r\n\r\n",
        b"GET / HTTP/1.1\n" + HOST + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"\x00: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b": a\r\n\r\n",
        b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"G\x00T / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 500 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_what_two_servers_could_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_head(data)


def test_a_head_is_read() -> None:
    head = parse_head(
        b"POST /v1.41/exec/a/start?x=%20 HTTP/1.1\r\nHOST: d\r\nConnection: keep-alive, Upgrade\r\n"
        b"Upgrade: tcp\r\nContent-Length: 12\r\nExpect: 100-continue\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
    )
    assert (head.method, head.target) == ("POST", b"/v1.41/exec/a/start?x=%20")
    assert (head.length, head.upgrade, head.keep_alive) == (12, "tcp", True)
    assert head.expects_continue
    assert head.headers["x-a"] == "1, 2"


def test_old_clients_close_unless_they_say_otherwise() -> None:
    assert not parse_head(b"GET / HTTP/1.0\r\n\r\n").keep_alive
    assert parse_head(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    cuts=st.lists(st.integers(1, 50), min_size=1),
    after=st.binary(max_size=20),
)
def test_chunks_read_back_however_they_are_cut(
    pieces: list[bytes], cuts: list[int], after: bytes
) -> None:
    data = b"".join(map(chunk, pieces)) + b"0\r\n\r\n" + after
    body, buffer, read, at, turn = ChunkedBody(), bytearray(), b"", 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        buffer += data[at : at + size]
        read += body.feed(buffer)
        at, turn = at + size, turn + 1
    assert body.done
    assert read == b"".join(pieces)
    assert bytes(buffer) == after


@pytest.mark.parametrize(
    "data",
    [
        b"-1\r\n", b"0x3\r\nabc\r\n", b"3\nabc\r\n", b"3\r\nabcd\r\n", b"g\r\n", b"\r\n", b" 3\r\n",
        b"ffffffffffffffffff\r\n", b"3\r\nabcX\r\n", b"0\r\nX: a\nb\r\n\r\n", b"3" * 2000,
        b"0\r\n" + b"Trailer: x\r\n" * 5000,
    ],
)  # fmt: skip
def test_broken_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        ChunkedBody().feed(bytearray(data))


def test_a_fixed_body_takes_its_own_bytes_only() -> None:
    body, buffer = FixedBody(5), bytearray(b"abc")
    assert body.feed(buffer) == b"abc"
    buffer += b"defg"
    assert (body.feed(buffer), body.done, bytes(buffer)) == (b"de", True, b"fg")


def test_a_header_cannot_smuggle_a_second_one() -> None:
    with pytest.raises(ValueError, match="line break"):
        response_head(200, [("Location", "/x\r\nSet-Cookie: a=b")])
