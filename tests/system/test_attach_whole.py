"""Who has been told that it is attached gets all that a start writes."""

from __future__ import annotations

import contextlib
import socket

import pytest
from tests.support.engine import PATIENCE, Engine

pytestmark = pytest.mark.root
LINES = 20_000


def connected(engine: Engine) -> socket.socket:
    there = socket.socket(socket.AF_UNIX)
    there.settimeout(30 * PATIENCE)
    there.connect(str(engine.socket))
    return there


def ask(there: socket.socket, path: str, *headers: str) -> None:
    lines = (f"POST /v1.41{path} HTTP/1.1", "Host: t", *headers, "Content-Length: 0", "", "")
    there.sendall("\r\n".join(lines).encode())


def head_of(there: socket.socket) -> bytes:
    """Read an answer's head, and no more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += there.recv(1)
    return head


def payload(framed: bytes) -> bytes:
    found = b""
    while framed:
        size = int.from_bytes(framed[4:8], "big")
        found, framed = found + framed[8 : 8 + size], framed[8 + size :]
    return found


def test_a_start_at_once_loses_nothing(engine: Engine) -> None:
    engine.boxship("image", "bootstrap", "busybox")
    expected = "".join(f"{number}\n" for number in range(1, LINES + 1)).encode()
    with contextlib.closing(engine.api()) as api:
        for driver in ("none", "json-file") * 4:
            made = api.containers.create(
                "busybox", ["seq", str(LINES)], log_config={"Type": driver}
            )
            with connected(engine) as there, connected(engine) as other:
                path = f"/containers/{made.id}"
                ask(
                    there, f"{path}/attach?stream=1&stdout=1", "Connection: Upgrade", "Upgrade: tcp"
                )
                assert b" 101 " in head_of(there).partition(b"\r\n")[0]
                ask(other, f"{path}/start")
                framed = b""
                while data := there.recv(1 << 16):
                    framed += data
                assert b" 204 " in head_of(other).partition(b"\r\n")[0]
            made.remove(force=True)
            assert payload(framed) == expected
