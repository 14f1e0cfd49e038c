"""The daemon is killed in the middle of pulls and pushes: nothing is lost, nothing is left."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from tests.support import images as made
from tests.support.engine import PATIENCE, Engine
from tests.support.faulty_registry import Answer, FaultyRegistry, wait_until
from tests.support.registry_server import registry_server

pytestmark = pytest.mark.root
LAYERS = [
    made.archive(
        *((f"{n}/{m}", random.Random(n * 100 + m).randbytes(60_000), {}) for m in range(30))
    )
    for n in range(3)
]


def begin(engine: Engine, *words: str) -> threading.Thread:
    running = threading.Thread(target=lambda: engine.docker(*words, check=False))
    running.start()
    return running


def kill_during(
    engine: Engine, registry: FaultyRegistry, chance: random.Random, *words: str
) -> None:
    """Begin something, kill the daemon at a random moment of it, and start it again."""
    registry.seen.clear()
    running = begin(engine, *words)
    wanted = chance.randrange(1, 9)
    deadline = time.monotonic() + 2 * PATIENCE
    while len(registry.seen) < wanted and running.is_alive() and time.monotonic() < deadline:
        time.sleep(0.0005)
    time.sleep(chance.random() * 0.03)
    engine.kill()
    running.join()
    engine.start()


def leftovers(engine: Engine) -> list[str]:
    """What is on its way, although nothing is under way."""
    data = Path(engine.root) / "data"
    found = [str(p) for p in (data / "blobs" / "ingest").iterdir()]
    for driver in (data / "snapshots").iterdir():
        if (driver / "staging").is_dir():
            found += [str(p) for p in (driver / "staging").iterdir()]
    return found


def stored(engine: Engine) -> set[str]:
    return set(os.listdir(f"{engine.root}/data/blobs/sha256"))


ROUNDS = pytest.mark.parametrize(
    "rounds", [2, pytest.param(40, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)


@ROUNDS
def test_a_killed_pull_is_whole_or_not_there(own_engine: Engine, rounds: int) -> None:
    chance = random.Random(1)
    with FaultyRegistry() as registry:
        digest = registry.add("a/b", "1", LAYERS)
        name = f"{registry.host}/a/b:1"
        content = {one.removeprefix("sha256:") for one in (*registry.blobs, digest)}
        for _ in range(rounds):
            kill_during(own_engine, registry, chance, "pull", name)
            assert not leftovers(own_engine)
            here = own_engine.docker("images", "-q", "--no-trunc").stdout.split()
            assert here in ([], [digest])
            assert stored(own_engine) == (content if here else set())
            own_engine.docker("pull", name)
            assert stored(own_engine) == content
            shown = own_engine.docker("image", "inspect", name).stdout
            assert json.loads(shown)[0]["Id"] == digest
            own_engine.docker("rmi", name)
            assert not stored(own_engine)


@ROUNDS
def test_a_killed_push_can_be_repeated(own_engine: Engine, rounds: int) -> None:
    chance = random.Random(2)
    with FaultyRegistry() as registry, FaultyRegistry("127.0.0.2") as target:
        digest = registry.add("a/b", "1", LAYERS)
        own_engine.docker("pull", f"{registry.host}/a/b:1")
        for number in range(rounds):
            name = f"{target.host}/pushed/{number}:1"
            own_engine.docker("tag", f"{registry.host}/a/b:1", name)
            target.blobs.clear()
            target.places.clear()
            kill_during(own_engine, target, chance, "push", name)
            assert f"1: digest: {digest}" in own_engine.docker("push", name).stdout
            kind, data = registry.manifests["a/b", "1"]
            assert target.manifests[f"pushed/{number}", "1"] == (kind, data)
            assert target.blobs == registry.blobs


def test_a_pull_after_a_kill_goes_on_where_the_last_one_was(own_engine: Engine) -> None:
    with FaultyRegistry() as registry:
        layer = made.archive(("large", random.Random(3).randbytes(3 << 20), {}))
        registry.add("a/b", "1", [layer])
        name = f"{registry.host}/a/b:1"
        _, document = registry.manifests["a/b", "1"]
        digest = json.loads(document)["layers"][0]["digest"]
        half = Answer(body=registry.blobs[digest], pause_after=2 << 20)
        registry.when("GET", digest, half, times=1)
        running = begin(own_engine, "pull", name)
        kept = Path(own_engine.root) / "data/blobs/partial" / digest.removeprefix("sha256:")
        wait_until(lambda: kept.exists() and kept.stat().st_size == 2 << 20)
        own_engine.kill()
        running.join()
        own_engine.start()
        own_engine.docker("pull", name)
        asked = [one.headers.get("range") for one in registry.asked("GET", digest)]
        assert asked == [None, f"bytes={2 << 20}-"]
        assert not kept.exists()
        own_engine.docker("rmi", name)


@ROUNDS
def test_a_registry_that_is_killed_meanwhile_gets_and_gives_all_the_next_time(
    own_engine: Engine, tmp_path: Path, rounds: int
) -> None:
    chance = random.Random(4)
    archive = tmp_path / "image.tar"
    with registry_server(tmp_path) as server:
        for number in range(rounds):
            name = f"{server.host}/killed/{number}:1"
            archive.write_bytes(made.docker_archive(LAYERS, tags=[name], author=str(number)))
            own_engine.docker("load", "-q", "-i", str(archive))
            pointer = own_engine.docker("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()
            for action in ("push", "pull"):
                running = begin(own_engine, action, name)
                time.sleep(chance.uniform(0.05, 0.4))
                server.stop(signal.SIGKILL)
                server.start()
                running.join()
                assert pointer in own_engine.docker(action, name).stdout
                own_engine.docker("rmi", name)
                assert not stored(own_engine)
            check = server.command("check")
            assert (check.returncode, check.stdout) == (0, "all is whole\n")
