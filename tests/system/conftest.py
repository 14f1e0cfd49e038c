"""Containers for whole stories; removed when the story ends."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from tests.support.engine import Engine

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
