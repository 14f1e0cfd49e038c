"""Images from engine to engine, without a registry: only what is missing goes."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support import images as made
from tests.support.engine import BOXSHIP, Engine, another_number, docker_command
from tests.support.remote import behind_tls, proving, sshd

pytestmark = pytest.mark.root
REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|DELETE) (\S+) HTTP/1.1\r\n")


@dataclass(frozen=True)
class Far:
    """An engine that is reached over TLS too, by clients that prove who they are."""

    engine: Engine
    address: str
    certificates: Path


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    folder = tmp_path_factory.mktemp("tls")
    with behind_tls(another_number(), folder) as (found, address):
        yield Far(found, address, folder)


@pytest.fixture
def there(far: Far) -> Engine:
    """The engine that images are sent to."""
    return far.engine


class Watched:
    """A socket before an engine's that notes what is asked; it may break off at an upload."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.path = str(folder / "watched")
        self.asked: list[tuple[str, str]] = []
        self.breaks_at = ""
        self._engine = engine
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def uploads(self) -> list[str]:
        return [path for method, path in self.asked if method == "POST" and "uploads" in path]

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._engine.socket)
            for source, sink in ((client, engine), (engine, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                for method, path in REQUEST.findall(data):
                    self.asked.append((method.decode(), path.decode()))
                    if self.breaks_at and self.breaks_at in path.decode():
                        source.shutdown(socket.SHUT_RDWR)
                        sink.shutdown(socket.SHUT_RDWR)
                        return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def watched(tmp_path: Path, there: Engine) -> Iterator[Watched]:
    found = Watched(tmp_path, there)
    yield found
    found.close()


def load(engine: Engine, data: bytes) -> None:
    subprocess.run(
        [*BOXSHIP, "-H", engine.host, "load"], input=data, check=True, capture_output=True
    )


@contextmanager
def layered(engine: Engine, *marks: str) -> Iterator[tuple[str, list[bytes]]]:
    """An image of a layer for each mark."""
    name = f"send-{uuid.uuid4().hex[:8]}:1"
    layers = [made.archive((f"file-{mark}", mark.encode() * 1000, {})) for mark in marks]
    load(engine, made.docker_archive(layers, tags=[name]))
    yield name, layers
    engine.boxship("rmi", name)


def identity(engine: Engine, name: str) -> str:
    return engine.boxship("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()


def stored(engine: Engine) -> set[str]:
    return set(os.listdir(engine.root / "data/blobs/sha256"))


def test_only_what_is_missing_is_sent(engine: Engine, there: Engine, watched: Watched) -> None:
    base, top = uuid.uuid4().hex, uuid.uuid4().hex
    with layered(engine, base) as (one, (shared,)), layered(engine, base, top) as (two, _):
        engine.boxship("image", "send", one, watched.host)
        assert len(watched.uploads()) == 2  # its layer and its configuration
        watched.asked.clear()
        said = engine.boxship("image", "send", two, watched.host).stdout
        assert len(watched.uploads()) == 2
        assert not any(made.sha256(shared)[7:] in path for path in watched.uploads())
        assert "Layer already exists" in said
        assert f"digest: {identity(engine, two)} size: " in said
        assert "Sent 2 of 3 blobs, " in said
        watched.asked.clear()
        assert "Sent 0 of 3 blobs, 0B" in engine.boxship("image", "send", two, watched.host).stdout
        assert watched.uploads() == []
        for name in (one, two):
            assert identity(there, name) == identity(engine, name)
            there.boxship("rmi", name)


def test_what_was_sent_runs_and_keeps_its_id(engine: Engine, there: Engine) -> None:
    engine.boxship("image", "send", "busybox", there.host)
    assert there.boxship("run", "--rm", "busybox", "echo", "sent").stdout == "sent\n"
    assert identity(there, "busybox") == identity(engine, "busybox")
    assert there.boxship("system", "check").stdout == "clean\n"


def test_an_index_goes_with_what_is_here_of_it(engine: Engine, there: Engine) -> None:
    data, index, _ = made.indexed(("linux", "arm64"), ("linux", "amd64"))
    load(engine, data)
    try:
        engine.boxship("image", "rm", "--platform", "linux/arm64", "multi:1")
        engine.boxship("image", "send", "multi:1", there.host)
        (shown,) = json.loads(there.boxship("image", "inspect", "multi:1").stdout)
        assert (shown["Id"], shown["Architecture"]) == (made.sha256(index), "amd64")
    finally:
        engine.boxship("rmi", "multi:1")
        there.boxship("rmi", "multi:1")


def test_by_its_id_an_image_goes_without_a_name(engine: Engine, there: Engine) -> None:
    with layered(engine, uuid.uuid4().hex) as (name, _):
        id = identity(engine, name)
        engine.boxship("image", "send", id.removeprefix("sha256:")[:12], there.host)
        assert there.boxship("image", "inspect", "-f", "{{.RepoTags}}", id).stdout == "[]\n"
        there.boxship("rmi", id)


def test_a_transfer_that_breaks_off_leaves_nothing_and_the_next_one_completes(
    engine: Engine, there: Engine, watched: Watched
) -> None:
    before = stored(there)
    with layered(engine, *(uuid.uuid4().hex for _ in range(4))) as (name, _):
        watched.breaks_at = "/manifests/"
        done = engine.boxship("image", "send", name, watched.host, check=False)
        assert done.returncode == 1
        assert len(watched.uploads()) == 5
        assert stored(there) == before  # the client gave the transfer up by another connection
        watched.breaks_at = ""
        engine.boxship("image", "send", name, watched.host)
        assert identity(there, name) == identity(engine, name)
        there.boxship("rmi", name)
    assert stored(there) == before


def test_wrong_bytes_are_refused(engine: Engine, there: Engine) -> None:
    before = stored(there)
    connection = there.api().api
    url = f"{connection.base_url}/v1.44/boxship/v2/x/blobs/uploads?digest={made.sha256(b'right')}"
    answer = connection.post(url, data=b"wrong", headers={"Boxship-Transfer": "one"})
    assert (answer.status_code, "has the digest" in answer.text) == (400, True)
    answer = connection.post(url, data=b"right")
    assert answer.status_code == 400
    assert "names no transfer" in answer.text
    manifest = f"{connection.base_url}/v1.44/boxship/v2/x/manifests/1?last=1"
    document = json.dumps({"schemaVersion": 2, "layers": [], "manifests": []})
    answer = connection.put(manifest, data=document, headers={"Boxship-Transfer": "one"})
    assert (answer.status_code, "an image and an index" in answer.text) == (400, True)
    connection.delete(f"{connection.base_url}/v1.44/boxship/v2/transfers/one")
    assert stored(there) == before


def test_what_cannot_be_sent_is_said(engine: Engine, there: Engine, tmp_path: Path) -> None:
    assert "No such image: nothing:latest" in engine.boxship(
        "image", "send", "nothing", there.host, check=False
    ).stderr  # fmt: skip
    nowhere = engine.boxship("image", "send", "busybox", f"unix://{tmp_path}/no", check=False)
    assert "Cannot connect" in nowhere.stderr


def test_over_ssh_the_other_sides_command_is_asked(
    engine: Engine, there: Engine, tmp_path: Path
) -> None:
    """The ssh command is a script that runs what it is told here, as a server would there."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "ssh").write_text(
        f'#!/bin/sh\necho asked >> {tmp_path}/asked\nfor last; do :; done\nexec sh -c "$last"\n'
    )
    (bin / "boxship").write_text(f'#!/bin/sh\nexec {" ".join(BOXSHIP)} "$@"\n')
    for script in bin.iterdir():
        script.chmod(0o755)
    environment = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"}
    with layered(engine, uuid.uuid4().hex, uuid.uuid4().hex) as (name, _):
        engine.boxship("image", "send", name, f"ssh://host{there.socket}", env=environment)
        assert identity(there, name) == identity(engine, name)
        there.boxship("rmi", name)
    assert (tmp_path / "asked").read_text() == "asked\n"  # and for one password at most


def test_over_tls_an_image_goes_to_whom_it_is_proved_who_sends(engine: Engine, far: Far) -> None:
    environment = {**os.environ, **proving(far.certificates)}
    with layered(engine, uuid.uuid4().hex, uuid.uuid4().hex) as (name, _):
        said = engine.boxship("image", "send", name, far.address, env=environment).stdout
        assert "Sent 3 of 3 blobs, " in said
        assert identity(far.engine, name) == identity(engine, name)
        far.engine.boxship("rmi", name)


def test_a_context_says_where_and_who(engine: Engine, far: Far, tmp_path: Path) -> None:
    """Docker's command makes the context; the certificates are then in its files."""
    environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}
    files = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    proof = ",".join(f"{name}={far.certificates}/{file}" for name, file in files.items())
    made = [docker_command(), "context", "create", "far", "--docker", f"host={far.address},{proof}"]
    subprocess.run(made, env=environment, check=True, capture_output=True)
    with layered(engine, uuid.uuid4().hex) as (name, _):
        engine.boxship("image", "send", name, "far", env=environment)
        assert identity(far.engine, name) == identity(engine, name)
        far.engine.boxship("rmi", name)


@pytest.mark.parametrize("lacks", ["certificate", "authority", "encryption"])
def test_who_proves_nothing_sends_nothing(
    engine: Engine, far: Far, tmp_path: Path, lacks: str
) -> None:
    before = stored(far.engine)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    environment = {**os.environ, **proving(stranger)}
    expected = "certificate required"
    if lacks == "certificate":
        shutil.copy(far.certificates / "ca.pem", stranger)
    elif lacks == "authority":
        certificates.make(stranger)
        expected = "certificate verify failed"
    else:
        environment = {key: value for key, value in os.environ.items() if "DOCKER_" not in key}
        expected = ""
    done = engine.boxship(
        "image", "send", "busybox", far.address, env=environment, check=False, timeout=20
    )
    assert done.returncode == 1, done.stdout
    assert expected in done.stderr
    assert stored(far.engine) == before


def test_a_real_sshd_is_gone_through(engine: Engine, there: Engine) -> None:
    with sshd() as (server, environment), layered(engine, uuid.uuid4().hex) as (name, _):
        place = f"ssh://root@{server}{there.socket}"
        said = engine.boxship("image", "send", name, place, env=environment).stdout
        assert "Sent 2 of 2 blobs, " in said
        assert identity(there, name) == identity(engine, name)
        again = engine.boxship("image", "send", name, place, env=environment).stdout
        assert "Sent 0 of 2 blobs, " in again
        there.boxship("rmi", name)
