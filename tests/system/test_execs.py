"""`docker exec` as clients speak it: what is framed, and keys in another case."""

from __future__ import annotations

import socket

import docker
import pytest
from tests.system.conftest import Start

SAYS = ["sh", "-c", "test -t 1 && echo terminal; echo out; echo err >&2"]


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("terminal", [True, False])
def test_the_output_is_framed_as_who_starts_it_asks(
    api: docker.DockerClient, start: Start, framed: bool, terminal: bool
) -> None:
    """Whether it has a terminal is said when it is made, how it is read when it starts."""
    container = start()
    made = api.api.exec_create(container.id, SAYS, tty=terminal)
    raw = api.api.exec_start(made, tty=not framed, socket=True)
    data = b""
    while piece := raw._sock.recv(4096) if hasattr(raw, "_sock") else raw.recv(4096):
        data += piece
    raw.close()
    said: dict[int, bytes] = {0: data}
    if framed:
        said = {}
        while data:
            channel, size = data[0], int.from_bytes(data[4:8])
            said[channel] = said.get(channel, b"") + data[8 : 8 + size]
            data = data[8 + size :]
    if terminal:
        assert said == {framed: b"terminal\r\nout\r\nerr\r\n"}
    elif framed:
        assert said == {1: b"out\n", 2: b"err\n"}
    else:
        assert sorted(said[0].split()) == [b"err", b"out"]


def test_keys_for_letting_go_are_taken_as_docker_py_writes_them(
    api: docker.DockerClient, start: Start
) -> None:
    """Its `detachKeys` has another case than the API's."""
    container = start()
    made = api.api.exec_create(container.id, "cat", stdin=True, tty=True, detach_keys="ctrl-p")
    raw = api.api.exec_start(made, tty=True, socket=True)
    wire: socket.socket = getattr(raw, "_sock", raw)
    wire.settimeout(30)
    wire.sendall(b"\x10")
    assert wire.recv(4096) == b""
    raw.close()
    assert api.api.exec_inspect(made)["Running"]
