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


def attach(there: socket.socket, container: str, wanted: str) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: tcp")
    ask(there, f"/containers/{container}/attach?stream=1&stdout=1{wanted}", *upgrade)
    assert b" 101 " in head_of(there).partition(b"\r\n")[0]


def all_of(there: socket.socket) -> bytes:
    framed = b""
    while data := there.recv(1 << 16):
        framed += data
    return payload(framed)


def started(engine: Engine, container: str, wanted: str = "") -> bytes:
    """Attach, start, and return the output."""
    with connected(engine) as there, connected(engine) as other:
        attach(there, container, wanted)
        ask(other, f"/containers/{container}/start")
        found = all_of(there)
        assert b" 204 " in head_of(other).partition(b"\r\n")[0]
    return found


def test_a_start_at_once_loses_nothing(engine: Engine) -> None:
    engine.boxship("image", "bootstrap", "busybox")
    expected = "".join(f"{number}\n" for number in range(1, LINES + 1)).encode()
    with contextlib.closing(engine.api()) as api:
        for driver in ("none", "json-file") * 4:
            made = api.containers.create(
                "busybox", ["seq", str(LINES)], log_config={"Type": driver}
            )
            found = started(engine, made.id)
            made.remove(force=True)
            assert found == expected


@pytest.mark.parametrize("driver", ["none", "json-file", "local"])
def test_who_wants_the_log_too_loses_nothing_of_the_first_start(
    engine: Engine, driver: str
) -> None:
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:
        for _ in range(10):
            made = api.containers.create("busybox", ["echo", "all"], log_config={"Type": driver})
            found = started(engine, made.id, "&logs=1")
            made.remove(force=True)
            assert found == b"all\n"


def test_the_log_of_former_starts_comes_first(engine: Engine) -> None:
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:
        made = api.containers.create("busybox", ["seq", str(LINES)])
        once = started(engine, made.id)
        assert started(engine, made.id, "&logs=1") == 2 * once
        with connected(engine) as there:  # the log alone
            upgrade = ("Connection: Upgrade", "Upgrade: tcp")
            ask(there, f"/containers/{made.id}/attach?logs=1&stdout=1", *upgrade)
            head_of(there)
            assert all_of(there) == 2 * once
        made.remove(force=True)


def test_a_program_is_spoken_with_after_its_log(engine: Engine) -> None:
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:
        made = api.containers.create(
            "busybox", ["sh", "-c", "echo before; cat; echo ended"], stdin_open=True
        )
        made.start()
        for line in made.logs(follow=True, stream=True):
            assert line == b"before\n"
            break
        with connected(engine) as there:
            attach(there, made.id, "&stdin=1&logs=1")
            there.sendall(b"typed\n" * 1000)
            there.shutdown(socket.SHUT_WR)
            assert all_of(there) == b"before\n" + b"typed\n" * 1000 + b"ended\n"
        made.remove(force=True)
