"""Versions and connections, against a small engine that answers from a script."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boxship.client.engine import Engine
from boxship.client.errors import CannotConnect, EngineError, OldEngine
from boxship.client.target import Target

Answer = Callable[[str], bytes]


class Script:
    """A server on a unix socket; `answer` turns a request line into a whole response."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.lines: list[str] = []
        self.connections = 0
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.target = Target(f"unix://{path}")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            while line := reader.readline():
                length = 0
                while (header := reader.readline().strip()) != b"":
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                reader.read(length)
                text = line.decode().rsplit(" ", 1)[0]
                self.lines.append(text)
                connection.sendall(self._answer(text))

    def close(self) -> None:
        self._listener.close()


def response(body: str, status: str = "200 OK", version: str = "1.41") -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\nApi-Version: {version}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[[Answer], Script]]:
    made: list[Script] = []

    def make(answer: Answer) -> Script:
        made.append(Script(tmp_path / "s", answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def older(line: str) -> bytes:
    """An engine that knows nothing after 1.41."""
    if line.startswith("HEAD"):
        return response("").replace(b"Content-Length: 0\r\n", b"Content-Length: 2\r\n")
    if "/v1.41/" not in line:
        return response('{"message":"client version is too new"}', "400 Bad Request")
    return response("[]")


def test_the_newest_version_both_know_is_agreed_on_over_one_connection(
    script: Callable[[Answer], Script],
) -> None:
    server = script(older)
    assert Engine(server.target).containers.list() == []
    assert server.lines == ["HEAD /_ping", "GET /v1.41/containers/json"]
    assert server.connections == 1


def test_our_own_engine_is_not_asked_first(script: Callable[[Answer], Script]) -> None:
    server = script(lambda line: response("[]", version="1.56"))
    assert Engine(server.target, ours=True).containers.list() == []
    assert server.lines == ["GET /v1.56/containers/json"]


def test_our_own_engine_that_is_an_older_one_is_still_understood(
    script: Callable[[Answer], Script],
) -> None:
    server = script(older)
    assert Engine(server.target, ours=True).containers.list() == []
    assert server.lines[-1] == "GET /v1.41/containers/json"


def test_a_fixed_version_is_used_as_it_is(script: Callable[[Answer], Script]) -> None:
    server = script(lambda line: response("[]"))
    Engine(server.target, version="1.40").containers.list()
    assert server.lines == ["GET /v1.40/containers/json"]


def test_an_engine_too_old_is_said_to_be_so(script: Callable[[Answer], Script]) -> None:
    server = script(lambda line: response("", version="1.12"))
    with pytest.raises(OldEngine, match=r"1\.12 is too old"):
        Engine(server.target).containers.list()


def test_a_refusal_carries_status_and_message(script: Callable[[Answer], Script]) -> None:
    server = script(
        lambda line: response('{"message":"No such container: x"}', "404 Not Found", "1.50")
    )
    with pytest.raises(EngineError, match="No such container: x") as refusal:
        Engine(server.target, version="1.50").containers.stop("x")
    assert refusal.value.status == 404


def test_nobody_there_is_told_with_the_address(tmp_path: Path) -> None:
    with pytest.raises(CannotConnect, match=f"unix://{tmp_path}/none"):
        Engine(Target(f"unix://{tmp_path}/none")).containers.list()


def test_an_engine_that_can_be_started_is_started_once(
    tmp_path: Path, script: Callable[[Answer], Script]
) -> None:
    started: list[Script] = []
    engine = Engine(
        Target(f"unix://{tmp_path}/s"),
        revive=lambda: started.append(script(lambda line: response("[]", version="1.56"))),
    )
    assert engine.containers.list() == []
    assert len(started) == 1
