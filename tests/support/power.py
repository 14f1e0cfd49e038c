"""Stories in which the power goes: what is done on a disk, and what is found there afterwards.

def worked(disk: Disk) -> list[Done]: ...     in a process of its own, on an empty disk
def recovered(point, at, history): ...        in another, on each crash image; asserts

@CUTS
def test_...(tmp_path, many, seed):
    cut_at_random(tmp_path, many, seed, worked, recovered)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.blocklog import Disk, attached, crash_images
from tests.support.children import in_child
from tests.support.engine import PATIENCE

FEW, MANY = (30 if PATIENCE == 1 else 10), 300  # an emulated machine cuts fewer moments
SIZE = 64 << 20
CUTS = pytest.mark.parametrize(
    ("many", "seed"), [(FEW, 20), pytest.param(MANY, 21, marks=pytest.mark.slow)]
)


@dataclass(frozen=True)
class Done:
    """One operation: what it makes of a name, and how much had been written before and after."""

    name: str
    there: bool
    begun: int
    ended: int


@dataclass
class Diary:
    """What has been done, in order."""

    position: Callable[[], int]
    done: list[Done] = field(default_factory=list)

    @contextmanager
    def noting(self, name: str, *, there: bool = True) -> Iterator[None]:
        """Note what the block does to a name; it is acknowledged when the block ends."""
        begun = self.position()
        yield
        self.done.append(Done(name, there, begun, self.position()))


History = list[Done]


def allowed(name: str, at: int, history: History) -> set[bool]:
    """Whether a name may be there when the power went at `at`."""
    states = {False}
    for each in history:
        if each.name == name and each.begun < at:
            states = {each.there} if each.ended <= at else states | {each.there}
    return states


def names(history: History) -> list[str]:
    """All names that something was done to."""
    return sorted({each.name for each in history})


def cut_at_random(
    folder: Path,
    many: int,
    seed: int,
    worked: Callable[[Disk], History],
    recovered: Callable[[Path, int, History], None],
    size: int = SIZE,
) -> None:
    """Do the work, cut the power at `many` moments of it, and look at each disk that is left."""
    disk = Disk(folder, size)
    with disk:
        history = in_child(lambda: worked(disk))
    point = disk.mounted
    for at, image in crash_images(disk, many, random.Random(seed), history[0].begun):
        with attached(image, point):
            in_child(lambda at=at: recovered(point, at, history))  # type: ignore[misc]
