"""A body that a thread reads from the socket is what the loop would have read."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from boxship.lib.pipe import Abandoned
from boxship.transport.direct import PIECE, DirectBody
from boxship.transport.gone import ClientGone
from boxship.wire import http

BODY = os.urandom(3 * PIECE + 17)
NEXT = b"GET /_ping HTTP/1.1\r\n\r\n"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def chunked(data: bytes, size: int) -> bytes:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(map(http.chunk, pieces)) + http.LAST_CHUNK


def sending(end: socket.socket, data: bytes, *, close: bool = False) -> threading.Thread:
    def work() -> None:
        end.sendall(data)
        if close:
            end.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("read", [0, 1, 100_000])
@pytest.mark.parametrize("size", [0, 1000, 32 << 10, len(BODY)])
def test_a_body_ends_where_it_ends(
    ends: tuple[socket.socket, socket.socket], size: int, read: int
) -> None:
    """However much of it the loop had read, and whether its length was said or not."""
    ours, theirs = ends
    body: http.Body = http.ChunkedBody() if size else http.FixedBody(len(BODY))
    raw = chunked(BODY, size) if size else BODY
    buffer = bytearray(raw[:read])
    arrived = body.feed(buffer)
    sender = sending(theirs, raw[read:] + NEXT)
    direct = DirectBody(ours.fileno(), body, arrived, bytes(buffer))
    assert b"".join(direct) == BODY
    sender.join()
    assert direct.received == len(BODY) - len(arrived)
    assert body.done
    left = bytes(direct.pending)
    while len(left) < len(NEXT):
        left += ours.recv(100)
    assert left == NEXT


def test_a_client_that_leaves_is_noticed(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    sender = sending(theirs, BODY, close=True)
    direct = DirectBody(ours.fileno(), http.FixedBody(len(BODY) + 1), b"", b"")
    with pytest.raises(ClientGone):
        b"".join(direct)
    sender.join()


def test_who_waits_can_be_stopped(ends: tuple[socket.socket, socket.socket]) -> None:
    direct = DirectBody(ends[0].fileno(), http.FixedBody(10), b"", b"")
    stopper = threading.Timer(0.01, direct.stop)
    stopper.start()
    with pytest.raises(Abandoned):
        b"".join(direct)
    stopper.join()


def test_a_malformed_chunk_is_refused(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].sendall(b"zz\r\n")
    with pytest.raises(http.BadRequest):
        b"".join(DirectBody(ends[0].fileno(), http.ChunkedBody(), b"", b""))
