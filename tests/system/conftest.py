"""Containers for whole stories; removed when the story ends."""

from __future__ import annotations

import io
import itertools
import json
import socket
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from tests.support.engine import PATIENCE, Engine

IMAGE = "busybox:latest"
_numbers = itertools.count(1)

THINGS = {
    "cdiVersion": "0.6.0",
    "kind": "vendor.com/thing",
    "devices": [
        {
            "name": "one",
            "containerEdits": {
                "env": ["THING=one"],
                "deviceNodes": [{"path": "/dev/thing", "type": "c", "major": 1, "minor": 5}],
            },
        },
        {
            "name": "hooked",
            "containerEdits": {
                "hooks": [
                    {
                        "hookName": "createRuntime",
                        "path": "/bin/sh",
                        "args": ["sh", "-c", "cat > HERE/hook"],
                    }
                ]
            },
        },
    ],
}

Start = Callable[..., Container]


@pytest.fixture
def api(engine: Engine) -> Iterator[docker.DockerClient]:
    client = engine.api()
    yield client
    client.close()


ENGINES = ("engine", "own_engine", "offering", "consenting")
GROWTH = 64 << 10  # KiB that an attack may cost the engine
ANSWERS_WITHIN = 1.0 * PATIENCE  # seconds, of the best of some tries: the machine is shared
TRIES = 10
GIVEN_BACK_WITHIN = 20.0 * PATIENCE  # seconds, for memory that a burst took


@pytest.fixture
def unharmed(request: pytest.FixtureRequest) -> Iterator[None]:
    """What holds after every attack: the daemon is alive, answers, and has not grown."""
    names = [name for name in ENGINES if name in request.fixturenames]
    engines: list[Engine] = [request.getfixturevalue(name) for name in names]
    assert engines, "this test has no engine"
    before = [(one.process, resident(one)) for one in engines]
    yield
    for engine, (process, size) in zip(engines, before, strict=True):
        assert engine.process is not None
        if engine.process is not process and engine.process.poll() == 0:
            continue  # the test has ended it
        assert engine.process.poll() is None, engine.tail()
        assert min(ping_time(engine) for _ in range(TRIES)) < ANSWERS_WITHIN
        if engine.process is process:
            assert grown(engine, size, GROWTH) <= GROWTH


def resident(engine: Engine) -> int:
    """Return how much memory a daemon has, in KiB."""
    assert engine.process is not None
    status = Path(f"/proc/{engine.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def grown(engine: Engine, size: int, at_most: int) -> int:
    """Return how much more memory a daemon keeps than the `size` that it had, in KiB.

    What a burst took goes back some seconds after it (`boxship.daemon.quiet`): more than `at_most`
    is looked at again until then.
    """
    deadline = time.monotonic() + GIVEN_BACK_WITHIN
    while (more := resident(engine) - size) > at_most and time.monotonic() < deadline:
        time.sleep(0.5)
    return more


def ping_time(engine: Engine) -> float:
    """Return how long a daemon takes to answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30 * PATIENCE)
        begun = time.monotonic()
        connection.connect(engine.socket)
        connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        answer = connection.recv(4096)
        taken = time.monotonic() - begun
    assert b" 200 " in answer.partition(b"\r\n")[0]
    return taken


@pytest.fixture
def name() -> str:
    """A container name that nobody else uses."""
    return f"story-{next(_numbers)}"


@pytest.fixture
def start(api: docker.DockerClient) -> Iterator[Start]:
    """Start a container that sleeps, with docker-py's options; it is removed afterwards."""
    made: list[Container] = []

    def run(*command: str, **options: object) -> Container:
        words = list(command) or ["sleep", "3600"]
        made.append(api.containers.run(IMAGE, words, detach=True, **options))
        made[-1].reload()
        return made[-1]

    yield run
    for container in made:
        try:
            container.remove(force=True, v=True)
        except docker.errors.NotFound:
            continue


def inside(container: Container, *command: str) -> str:
    """Return what a command prints when it is run in the container; it must succeed."""
    code, output = container.exec_run(list(command))
    text: str = output.decode()
    assert code == 0, text
    return text.strip()


@pytest.fixture
def offering(own_engine: Engine, tmp_path: Path) -> Engine:
    """An engine of a host that offers devices by name."""
    folder = tmp_path / "cdi"
    folder.mkdir()
    (folder / "thing.json").write_text(json.dumps(THINGS).replace("HERE", str(tmp_path)))
    own_engine.stop()
    settings = {"cdi-spec-dirs": [str(folder)]}
    (own_engine.root / "daemon.json").write_text(json.dumps(settings))
    own_engine.start()
    own_engine.boxship("image", "bootstrap", "busybox")
    return own_engine


def put_file(container: Container, path: str, data: bytes, mode: int = 0o644) -> None:
    """Put one file into a container."""
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
        assert container.put_archive("/", buffer.getvalue())
