"""The power goes while images are pulled and committed: whole or absent, and the next try works."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support import images
from tests.support.blocklog import Disk
from tests.support.faulty_registry import FaultyRegistry
from tests.support.power import CUTS, Diary, History, allowed, cut_at_random, names
from tests.support.pulling import Puller

from boxship.image.errors import NoSuchImage
from boxship.snapshot.drivers import layerfile
from boxship.spec.digest import Digest
from boxship.spec.engine.image import ImageConfig

pytestmark = pytest.mark.root
FILES = {"one": ["base/a", "base/b", "one/x"], "two": ["base/a", "base/b", "two/x", "two/y"]}


def content(name: str) -> bytes:
    return random.Random(name).randbytes(120_000)


def layer(*files: str) -> bytes:
    return images.archive(*((file, content(file), {}) for file in files))


def check(engine: images.Engine, at: int, history: History) -> Iterator[str]:
    """What is acknowledged is there, what is there is whole; yields what is not there."""
    for name in names(history):
        try:
            image = engine.images.get(name)
        except NoSuchImage:
            assert False in allowed(name, at, history), f"{name} is lost, power cut at {at}"
            yield name
            continue
        assert True in allowed(name, at, history), f"{name} is back, power cut at {at}"
        whole(engine, name)
        assert image.variant.chains


def whole(engine: images.Engine, name: str) -> None:
    image = engine.images.get(name)
    for digest in image.content:
        assert Digest.of(b"".join(engine.blobs.chunks(digest))) == digest
    engine.images.ensure_unpacked(image)
    root = engine.snapshots.view(image.chain_id)
    try:
        for file in FILES[name.rpartition("/")[2].partition(":")[0]]:
            descriptor = os.open(file, os.O_RDONLY, dir_fd=root)
            with closing(os.fdopen(descriptor, "rb")) as opened:
                assert opened.read() == content(file), f"{file} of {name}"
    finally:
        os.close(root)


def nothing_half_made(engine: images.Engine) -> None:
    blobs, layers, arriving = engine.stored()
    every = engine.images.list()
    assert not arriving
    assert set(blobs) == {str(digest) for image in every for digest in image.content}
    assert {str(one) for one in layers} <= {str(c) for i in every for c in i.variant.chains}


@CUTS
def test_a_power_cut_leaves_a_pull_whole_or_absent(tmp_path: Path, many: int, seed: int) -> None:
    """R2.1 and R2.2; what was cut off is pulled again, over what the cut has left."""
    with FaultyRegistry() as registry:
        base = layer("base/a", "base/b")
        registry.add("a/one", "1", [base, layer("one/x")])
        registry.add("a/two", "1", [base, layer("two/x", "two/y")])
        both = [f"{registry.host}/a/{name}:1" for name in ("one", "two")]

        def worked(disk: Disk) -> History:
            puller, diary = Puller(disk.mounted), Diary(disk.position)
            for name in both:
                with diary.noting(name):
                    puller.pull(name)
            with diary.noting(both[0], there=False):
                puller.engine.images.remove(both[0])
            with diary.noting(both[0]):
                puller.pull(both[0])
            puller.close()
            return diary.done

        def recovered(point: Path, at: int, history: History) -> None:
            layerfile.this_boot = lambda: "the boot after the power cut"
            puller = Puller(point)
            nothing_half_made(puller.engine)
            for name in [*check(puller.engine, at, history)]:
                puller.pull(name)
            for name in both:
                whole(puller.engine, name)
            nothing_half_made(puller.engine)
            puller.close()

        cut_at_random(tmp_path, many, seed, worked, recovered)


@CUTS
def test_a_power_cut_leaves_a_commit_whole_or_absent(tmp_path: Path, many: int, seed: int) -> None:
    """R2.1 and R2.2; the container's own changes need not outlast the cut, the image must."""
    cut_at_random(tmp_path, many, seed, committed, found_committed)


def committed(disk: Disk) -> History:
    engine, diary = images.Engine(disk.mounted), Diary(disk.position)
    engine.images.load([images.docker_archive([layer("base/a", "base/b")], tags=("base:1",))])
    base = engine.images.get("base:1")
    for name, files in FILES.items():
        engine.snapshots.prepare(name, base.chain_id)
        root = engine.snapshots.open(name)
        os.mkdir(name, dir_fd=root)
        for file in files[2:]:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=root)
            with open(descriptor, "wb") as opened:
                opened.write(content(file))
        os.close(root)
        with diary.noting(f"{name}:1"):
            engine.images.commit(
                base, engine.snapshots.diff(name), base.config.config, name=f"{name}:1"
            )
    with diary.noting("one:1", there=False):
        engine.images.remove("one:1")
    engine.database.close()
    return diary.done


def found_committed(point: Path, at: int, history: History) -> None:
    layerfile.this_boot = lambda: "the boot after the power cut"
    engine = images.Engine(point)
    for name in [*check(engine, at, history)]:
        own = layer(*FILES[name.partition(":")[0]])
        again = engine.images.commit(None, [own], ImageConfig(), name=name)
        assert engine.images.get(name).id == again.id
        whole(engine, name)
    nothing_half_made(engine)
    engine.database.close()
