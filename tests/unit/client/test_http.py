"""Answers of the engine, however the bytes were cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.client.errors import BrokenAnswer, EngineError
from boxship.client.frames import Frames
from boxship.client.http import Connection, documents, messages


class Wire:
    """A socket that gives what it was given, cut where it was told."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.sent = b""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def sendall(self, data: bytes, /) -> None:
        self.sent += bytes(data)

    def close(self) -> None: ...

    def shutdown(self, how: int, /) -> None: ...

    def settimeout(self, seconds: float | None, /) -> None: ...

    def fileno(self) -> int:
        return -1


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(marks)]


PLACES = st.lists(st.integers(0, 10_000), max_size=12)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), PLACES)
def test_a_chunked_body_is_what_was_sent(parts: list[bytes], places: list[int]) -> None:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    response = Connection(Wire(cut(head + body, places))).receive()
    assert response.read() == b"".join(parts)
    assert response.done
    assert not response.connection.pending


@given(st.binary(max_size=200), PLACES)
def test_a_body_with_a_length_is_what_was_sent(body: bytes, places: list[int]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    response = Connection(Wire(cut(head + body, places))).receive()
    assert response.read() == body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    ],
)
def test_an_answer_that_breaks_off_is_said_to_be_broken(answer: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        Connection(Wire([answer])).receive().read()


def test_a_refusal_is_told_in_the_engines_words() -> None:
    body = b'{"message":"No such container: x"}'
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body)
    with pytest.raises(EngineError) as refusal:
        Connection(Wire([head + body])).receive().check()
    assert str(refusal.value) == "Error response from daemon: No such container: x"
    assert refusal.value.status == 404


def test_a_header_that_comes_several_times_has_a_line_for_each() -> None:
    """Docker's engine takes no list in one line: of what a session offers it knew nothing."""
    wire = Wire([])
    Connection(wire).send("POST", "/session", [("Method", "/a"), ("Method", "/b")])
    assert b"\r\nMethod: /a\r\nMethod: /b\r\n" in wire.sent


def test_a_body_made_as_it_is_sent_goes_out_in_chunks() -> None:
    wire = Wire([])
    Connection(wire).send("POST", "/x", [("Host", "h")], iter([b"ab", b"", b"cde"]))
    assert wire.sent.endswith(b"\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), max_size=5), PLACES)
def test_documents_of_a_stream_arrive_whole(items: list[dict[str, str]], places: list[int]) -> None:
    from boxship.lib import quickjson

    body = b"".join(quickjson.encode(item).encode() + b"\r\n" for item in items)
    response = Connection(Wire(cut(b"HTTP/1.1 200 OK\r\n\r\n" + body, places))).receive()
    assert list(messages(response)) == items


def test_record_separators_between_documents_are_passed_over() -> None:
    assert list(documents('\x1e{"a":1}\n\x1e{"b":2}\n')) == [{"a": 1}, {"b": 2}]


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=30)), max_size=10), PLACES)
def test_frames_give_each_stream_its_bytes(
    sent: list[tuple[int, bytes]], places: list[int]
) -> None:
    data = b"".join(
        bytes([stream, 0, 0, 0]) + len(part).to_bytes(4, "big") + part for stream, part in sent
    )
    frames = Frames()
    found = [pair for piece in cut(data, places) for pair in frames.feed(piece)]
    for stream in range(3):
        assert b"".join(part for s, part in found if s == stream) == b"".join(
            part for s, part in sent if s == stream
        )
    # The order between the streams holds as well.
    assert b"".join(part for _, part in found) == b"".join(part for _, part in sent)


def test_a_stream_of_no_known_kind_is_refused() -> None:
    with pytest.raises(BrokenAnswer, match="unrecognized stream: 9"):
        Frames().feed(b"\x09\0\0\0\0\0\0\1x")
