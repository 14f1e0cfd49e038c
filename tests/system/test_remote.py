"""An engine that is reached through TLS, ssh and websockets: the streams are the same."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.engine import BOXSHIP, PATIENCE, SPREAD, Engine, docker_command, engine_number
from tests.support.remote import behind_tls, proving, sshd

IMAGE = "busybox:latest"
Finished = subprocess.CompletedProcess[bytes]


@dataclass
class Remote:
    """A way to an engine: the words and the environment that make a client take it."""

    engine: Engine
    address: str
    environment: dict[str, str]

    def command(self, client: str, *words: str) -> list[str]:
        start = [docker_command()] if client == "docker" else BOXSHIP
        return [*start, "-H", self.address, *words]

    def run(self, client: str, *words: str, input: bytes = b"", check: bool = True) -> Finished:
        done = subprocess.run(
            self.command(client, *words),
            input=input, env=self.environment, capture_output=True, check=False,
            timeout=20 * PATIENCE,
        )  # fmt: skip
        assert not (check and done.returncode), done.stderr
        return done


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """An engine behind TLS, for clients that prove who they are."""
    folder = tmp_path_factory.mktemp("tls")
    with behind_tls(engine_number() + SPREAD, folder) as (engine, address):
        engine.boxship("image", "bootstrap", "busybox")
        told = {**proving(folder), "DOCKER_CONFIG": f"{folder}/config"}
        yield Remote(engine, address, {**os.environ, **told})


@pytest.fixture(scope="module")
def over_ssh(far: Remote, tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """The same engine over `ssh`, where a stand-in for it runs what it is told to here."""
    folder = tmp_path_factory.mktemp("ssh")
    scripts = {
        # what follows the destination is the command, as sshd would give it to a shell
        "ssh": 'while [ "$1" != -- ]; do shift; done; shift 2; exec sh -c "$*"',
        "docker": f'exec {docker_command()} -H {far.engine.host} "$@"',
        "boxship": f'exec {" ".join(BOXSHIP)} -H {far.engine.host} "$@"',
    }
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    config = {"PATH": path, "DOCKER_CONFIG": f"{folder}/config"}
    return Remote(far.engine, "ssh://user@far.example", {**os.environ, **config})


@pytest.fixture(params=["tls", "ssh"])
def remote(request: pytest.FixtureRequest) -> Remote:
    found: Remote = request.getfixturevalue("far" if request.param == "tls" else "over_ssh")
    return found


CLIENTS = pytest.mark.parametrize("client", ["docker", "boxship"])


@CLIENTS
def test_programs_get_their_input_and_are_heard(remote: Remote, client: str) -> None:
    script = "cat; echo err >&2; exit 3"
    done = remote.run(
        client, "run", "-i", "--rm", IMAGE, "sh", "-c", script, input=b"in\n", check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in\n", b"err\n")


@CLIENTS
def test_much_goes_both_ways_whole(remote: Remote, client: str) -> None:
    data = os.urandom(3 << 20)
    assert remote.run(client, "run", "-i", "--rm", IMAGE, "cat", input=data).stdout == data


@CLIENTS
def test_an_archive_comes_whole(remote: Remote, client: str) -> None:
    local = [docker_command(), "-H", remote.engine.host, "save", IMAGE]
    here = subprocess.run(local, capture_output=True, check=True).stdout
    assert remote.run(client, "save", IMAGE).stdout == here


@CLIENTS
def test_execs_logs_and_copies(remote: Remote, client: str, tmp_path: Path) -> None:
    made = remote.run(client, "run", "-d", IMAGE, "sh", "-c", "echo said; sleep 600").stdout
    name = made.decode().strip()
    assert remote.run(client, "exec", "-i", name, "cat", input=b"typed").stdout == b"typed"
    deadline = time.monotonic() + 30 * PATIENCE
    while remote.run(client, "logs", name).stdout != b"said\n":
        assert time.monotonic() < deadline
    (tmp_path / "file").write_text("text")
    remote.run(client, "cp", f"{tmp_path}/file", f"{name}:/tmp/file")
    remote.run(client, "cp", f"{name}:/tmp/file", f"{tmp_path}/back")
    assert (tmp_path / "back").read_text() == "text"
    remote.run(client, "rm", "-f", name)


@CLIENTS
def test_a_terminal_is_typed_at(remote: Remote, client: str) -> None:
    """`run -it` with a window, a command, the detach keys, and an attach to what goes on."""
    name = f"typed-at-{client}-{remote.address[:3]}"
    with Terminal(remote, client, "run", "-it", "--name", name, IMAGE, "sh") as terminal:
        terminal.read_until(rb"# ")
        terminal.type("stty size; echo $((40 + 2))\r")
        terminal.read_until(rb"31 97\r\n42\r\n")
        terminal.type("\x10\x11")
        assert terminal.end() == 0
    with Terminal(remote, client, "attach", name) as terminal:
        terminal.type("echo again $((1 + 1))\r")
        terminal.read_until(rb"again 2\r\n")
        terminal.type("exit 5\r")
        assert terminal.end() == 5
    remote.run(client, "rm", name)


class Terminal:
    """A client at a terminal of 31 lines by 97 columns."""

    def __init__(self, remote: Remote, client: str, *words: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
        self._process = subprocess.Popen(
            remote.command(client, *words),
            stdin=slave, stdout=slave, stderr=slave, env=remote.environment, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.seen = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read_until(self, pattern: bytes) -> None:
        deadline = time.monotonic() + 30 * PATIENCE
        while not re.search(pattern, self.seen):
            left = deadline - time.monotonic()
            assert left > 0, self.seen
            assert select.select([self._master], [], [], left)[0], self.seen
            self.seen += os.read(self._master, 4096)

    def end(self) -> int:
        """Wait for the client, which must not wait for us to read."""
        deadline = time.monotonic() + 30 * PATIENCE
        while self._process.poll() is None:
            assert time.monotonic() < deadline, self.seen
            if select.select([self._master], [], [], 0.02)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self._master, 4096)
        return self._process.returncode


def test_nobody_is_served_who_proves_nothing(far: Remote) -> None:
    words = [docker_command(), "-H", far.address, "--tlsverify", "--tlscacert"]
    words.append(f"{far.environment['DOCKER_CERT_PATH']}/ca.pem")
    alone = {key: value for key, value in far.environment.items() if "DOCKER_" not in key}
    alone["HOME"] = "/nonexistent"
    done = subprocess.run([*words, "version"], env=alone, capture_output=True, check=False)
    assert b"certificate required" in done.stderr
    plain = subprocess.run(
        [docker_command(), "-H", far.address, "version"],
        env=alone,
        capture_output=True,
        check=False,
    )
    assert plain.returncode


def test_a_real_sshd_is_gone_through(far: Remote) -> None:
    with sshd() as (server, environment):
        way = Remote(far.engine, f"ssh://root@{server}{far.engine.socket}", environment)
        for client in ("docker", "boxship"):
            words = ("run", "-i", "--rm", IMAGE, "cat")
            assert way.run(client, *words, input=b"through ssh").stdout == b"through ssh"


# ---- websockets


def frame(kind: int, payload: bytes) -> bytes:
    """Return a client's frame, short and masked."""
    mask = b"\1\2\3\4"
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([0x80 | kind, 0x80 | len(payload)]) + mask + masked


class Frames:
    """What a server sends on a websocket, without the frames."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._held = b""

    def take(self, count: int) -> bytes:
        while len(self._held) < count:
            data = self._sock.recv(4096)
            assert data, "the connection has ended"
            self._held += data
        taken, self._held = self._held[:count], self._held[count:]
        return taken

    def head(self) -> bytes:
        seen = b""
        while not seen.endswith(b"\r\n\r\n"):
            seen += self.take(1)
        return seen

    def next(self) -> tuple[int, bytes]:
        kind, length = self.take(2)
        assert not length & 0x80
        if length == 126:
            length = int.from_bytes(self.take(2), "big")
        elif length == 127:
            length = int.from_bytes(self.take(8), "big")
        return kind & 0x0F, self.take(length)


@pytest.mark.parametrize("tty", [False, True])
def test_a_page_types_into_a_container(engine: Engine, name: str, tty: bool) -> None:
    flags = ["-it"] if tty else ["-i"]
    engine.docker("create", *flags, "--name", name, IMAGE, "sh", "-c", "read a; echo got $a")
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30 * PATIENCE)
        sock.connect(engine.socket)
        target = f"/containers/{name}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1&logs=1"
        sock.sendall(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        frames = Frames(sock)
        assert frames.head().startswith(b"HTTP/1.1 101 ")
        engine.docker("start", name)
        sock.sendall(frame(9, b"ping"))
        assert frames.next() == (10, b"ping")
        sock.sendall(frame(1, b"what is ") + frame(1, "typed ä\n".encode()))
        said = b""
        while b"got what is typed \xc3\xa4" not in said:
            kind, payload = frames.next()
            assert kind in (1, 2)
            said += payload
        kind, _ = frames.next()
        while kind in (1, 2):
            kind, _ = frames.next()
        assert kind == 8
    assert engine.docker("wait", name).stdout == "0\n"
    engine.docker("rm", name)
