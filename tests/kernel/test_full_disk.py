"""The disk is full: a clear error, nothing half-made, and what frees space needs none."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support import images
from tests.support.children import in_child
from tests.support.fulldisk import only, refused, room

pytestmark = pytest.mark.root
BYTES = os.urandom(1 << 20)
ONE = images.archive(*((f"one/{n}", BYTES[n:], {}) for n in range(3)))
TWO = images.archive(*((f"two/{n}", BYTES[n + 9 :], {}) for n in range(2)))


def archive(name: str = "both:1") -> bytes:
    return images.docker_archive([ONE, TWO], tags=(name,))


def all_of_it(engine: images.Engine) -> tuple[object, ...]:
    names = sorted(name for image in engine.images.list() for name in image.names)
    return names, engine.stored()


def test_a_load_that_finds_no_room_leaves_nothing(small: Path) -> None:
    """R2.4, with every amount of room from none to enough, in steps."""
    refusals = in_child(lambda: loaded_with_less_and_less(small))
    assert refusals >= 3


def loaded_with_less_and_less(small: Path) -> int:
    engine = images.Engine(small)
    engine.images.load([images.docker_archive([TWO], tags=("kept:1",))])
    before, refusals = all_of_it(engine), 0
    for free in range(0, 12 << 20, 700 << 10):
        with only(small, free):
            failed = refused(lambda: engine.images.load([archive()]))
            if failed:
                refusals += 1
                assert all_of_it(engine) == before, f"with {free} bytes free"
            else:
                engine.images.remove("both:1")
        assert all_of_it(engine.again() and engine) == before
    engine.images.load([archive()])
    assert engine.images.get("both:1").variant.chains
    return refusals


def test_removing_needs_no_room(small: Path) -> None:
    in_child(lambda: removed_without_room(small))


def removed_without_room(small: Path) -> None:
    engine = images.Engine(small)
    engine.images.load([archive()])
    with only(small, 0):
        engine.images.remove("both:1")
        assert not engine.images.list()
        assert room(small) > 3 << 20


def test_everything_that_takes_room_says_so(small: Path) -> None:
    in_child(lambda: operations_without_room(small))


def operations_without_room(small: Path) -> None:
    engine = images.Engine(small)
    engine.images.load([archive()])
    before = all_of_it(engine)
    image = engine.images.get("both:1")
    imported = images.archive(("file", BYTES, {}))

    def prepared() -> None:
        with ExitStack() as undo:
            engine.snapshots.prepare("key", image.chain_id)
            undo.callback(engine.snapshots.remove, "key")

    with only(small, 0):
        assert refused(lambda: engine.images.import_([imported], name="new:1"))
        assert refused(lambda: engine.images.commit(image, [imported], image.config.config))
        refused(prepared)
        for number in range(40):
            refused(lambda n=number: engine.images.tag("both:1", f"t{n}:1"))  # type: ignore[misc]
    for each in engine.images.list():
        for name in each.names:
            if not name.endswith("both:1"):
                engine.images.remove(name)
    assert all_of_it(engine) == before
    assert all_of_it(engine.again() and engine) == before
