"""The power goes while images come, are named and go: each is there whole, or not at all."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support import images
from tests.support.blocklog import Disk
from tests.support.power import Done, History, allowed, cut_at_random, names

from boxship.image.errors import NoSuchImage
from boxship.snapshot.drivers import layerfile
from boxship.spec.digest import Digest

pytestmark = pytest.mark.root
SIZE = 96 << 20
CRASHES, MANY_CRASHES = 40, 500


def layer(*names: str) -> bytes:
    """A layer of some files, each with bytes of its own."""
    return images.archive(*((n, random.Random(n).randbytes(150_000), {}) for n in names))


BASE = layer("a", "b")
OWN = {"one": layer("one/x"), "two": layer("two/x", "two/y"), "three": layer("three/x")}


def files(name: str) -> Iterator[str]:
    """The files that an image must have."""
    yield from {"one": ["one/x"], "two": ["two/x", "two/y"], "three": ["three/x"]}[name]
    yield from ["a", "b"]


def work(engine: images.Engine, position: Callable[[], int]) -> Iterator[Done]:
    """Load, name and remove; say when each was acknowledged."""
    begun = position()

    def done(name: str, there: bool) -> Done:
        nonlocal begun
        made, begun = Done(name, there, begun, position()), position()
        return made

    for name, own in OWN.items():
        engine.images.load([images.docker_archive([BASE, own], tags=(f"{name}:1",))])
        yield done(f"{name}:1", True)
        engine.images.tag(f"{name}:1", f"{name}:2")
        yield done(f"{name}:2", True)
    for name in ("one:1", "two:1", "two:2"):
        engine.images.remove(name)
        yield done(name, False)
    engine.images.load([images.docker_archive([BASE, OWN["two"]], tags=("two:1",))])
    yield done("two:1", True)


def check(engine: images.Engine, at: int, history: History) -> None:
    """All that is acknowledged is there, and all that is there is whole."""
    for name in names(history):
        try:
            image = engine.images.get(name)
        except NoSuchImage:
            assert False in allowed(name, at, history), f"{name} is lost, power cut at {at}"
            continue
        assert True in allowed(name, at, history), f"{name} is back, power cut at {at}"
        for digest in image.content:
            assert Digest.of(b"".join(engine.blobs.chunks(digest))) == digest
        engine.images.ensure_unpacked(image)
        root = engine.snapshots.view(image.chain_id)
        try:
            for file in files(name.partition(":")[0]):
                descriptor = os.open(file, os.O_RDONLY, dir_fd=root)
                with closing(os.fdopen(descriptor, "rb")) as opened:
                    assert opened.read() == random.Random(file).randbytes(150_000)
        finally:
            os.close(root)


@pytest.mark.parametrize(
    ("many", "seed"),
    [(CRASHES, 20), pytest.param(MANY_CRASHES, 21, marks=pytest.mark.slow)],
)
def test_a_power_cut_leaves_whole_images_or_none(tmp_path: Path, many: int, seed: int) -> None:
    """R2.1 and R2.2: crash images at random moments, with random choices of unsynced writes."""
    cut_at_random(tmp_path, many, seed, worked, recovered, SIZE)


def worked(disk: Disk) -> History:
    engine = images.Engine(disk.mounted)
    assert engine.snapshots.driver == "overlay2"
    history = []
    for done in work(engine, disk.position):
        history.append(done)
        if done.there:
            engine.snapshots.prepare(f"on-{len(history)}", engine.images.get(done.name).chain_id)
    engine.database.close()
    return history


def recovered(point: Path, at: int, history: History) -> None:
    layerfile.this_boot = lambda: "the boot after the power cut"
    engine = images.Engine(point)
    check(engine, at, history)
    engine.images.load([images.docker_archive([BASE, OWN["three"]], tags=("three:9",))])
    assert not engine.stored()[2], "something half-made is left"
    engine.database.close()
