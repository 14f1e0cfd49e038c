"""Killed at random moments of load, save, removal, prune and transfer, the store stays whole."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import threading
import time
from pathlib import Path

import pytest
from tests.support import images as made
from tests.support.engine import BOXSHIP, Engine

pytestmark = pytest.mark.root
LAYERS = [made.archive((f"file-{n}", bytes([n]) * (3 << 20), {})) for n in range(5)]
LONGEST = 0.6  # seconds until the kill


def archives(folder: Path) -> list[Path]:
    """Images that share layers, as archives."""
    found = []
    for number in range(3):
        path = folder / f"{number}.tar"
        layers = LAYERS[number : number + 3]
        path.write_bytes(made.docker_archive(layers, tags=[f"crash:{number}"]))
        found.append(path)
    return found


def busy(engine: Engine, source: Engine, paths: list[Path], seed: int) -> None:
    """Do what it may die in, one thing after the other, until it has died."""
    chance = random.Random(seed)
    commands = [
        lambda: ["load", "-i", str(chance.choice(paths))],
        lambda: ["rmi", f"crash:{chance.randrange(3)}"],
        lambda: ["save", "-o", os.devnull, f"crash:{chance.randrange(3)}"],
        lambda: ["image", "prune", "-af"],
        lambda: ["tag", f"crash:{chance.randrange(3)}", f"crash:{chance.randrange(3)}"],
    ]
    while engine.process is not None and engine.process.poll() is None:
        if chance.random() < 0.3:
            name = f"crash:{chance.randrange(3)}"
            command = [*BOXSHIP, "-H", source.host, "image", "send", name, engine.host]
        else:
            command = [*BOXSHIP, "-H", engine.host, *chance.choice(commands)()]
        subprocess.run(command, capture_output=True, check=False)


def one_round(engine: Engine, source: Engine, paths: list[Path], seed: int) -> None:
    threads = [
        threading.Thread(target=busy, args=(engine, source, paths, seed + n)) for n in range(2)
    ]
    for thread in threads:
        thread.start()
    time.sleep(random.Random(seed).random() * LONGEST)
    engine.kill()
    for thread in threads:
        thread.join()
    engine.start()
    told = engine.boxship("system", "check", check=False)
    assert told.stdout == "clean\n", f"after seed {seed}: {told.stdout}{engine.tail()}"
    names = engine.boxship("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    for name in (name for name in names if name.startswith("crash:")):
        archive = subprocess.run(
            [*BOXSHIP, "-H", engine.host, "save", name], capture_output=True, check=True
        ).stdout
        assert len(archive) > 3 * (3 << 20), f"after seed {seed}: {name} is not whole"
        created = engine.boxship("create", name, "x").stdout.strip()
        engine.boxship("rm", created)


def rounds(engine: Engine, source: Engine, folder: Path, count: int) -> None:
    paths = archives(folder)
    for path in paths:
        source.boxship("load", "-i", str(path))
    try:
        for seed in range(count):
            one_round(engine, source, paths, seed * 10)
        for path in paths:  # and the next try completes
            engine.boxship("load", "-i", str(path))
        engine.boxship("image", "prune", "-af")
        assert os.listdir(engine.root / "data/blobs/sha256") == []
    finally:
        for number in range(3):
            with contextlib.suppress(AssertionError):
                source.boxship("rmi", "-f", f"crash:{number}")


def test_the_store_is_whole_after_a_few_kills(
    own_engine: Engine, engine: Engine, tmp_path: Path
) -> None:
    rounds(own_engine, engine, tmp_path, 2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_store_is_whole_after_many_kills(
    own_engine: Engine, engine: Engine, tmp_path: Path
) -> None:
    rounds(own_engine, engine, tmp_path, 100)
