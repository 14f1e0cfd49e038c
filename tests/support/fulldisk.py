"""A small file system that fills up, and whether what fails there says so."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from boxship.errors import BoxshipError
from tests.support.blocklog import attached

SIZE = 24 << 20
FULL = "no space left on device"


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    image, point = folder / "image", folder / "small"
    image.touch()
    os.truncate(image, SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    point.mkdir()
    with attached(image, point):
        yield point


@contextmanager
def only(point: Path, free: int) -> Iterator[None]:
    """Leave no more than `free` bytes."""
    filler = point / "filler"
    subprocess.run(["sync", "-f", point], check=True)
    with open(filler, "wb") as file:
        size = 0
        for step in (1 << 20, 1 << 16, 1 << 12):
            with suppress(OSError):
                while room(point) >= free + step:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
    try:
        yield
    finally:
        filler.unlink()


def room(point: Path) -> int:
    found = os.statvfs(point)
    return found.f_bavail * found.f_frsize


def refused(work: Callable[[], object]) -> bool:
    """Whether something fails because the disk is full; it may not fail otherwise."""
    try:
        work()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return True
    except BoxshipError as error:
        if FULL not in str(error).lower():
            raise
        return True
    return False


def with_less_and_less(
    point: Path,
    most: int,
    step: int,
    work: Callable[[], object],
    state: Callable[[], object],
    undo: Callable[[], object],
) -> int:
    """Do something with every amount of room up to `most`; return how often it was refused.

    What is refused leaves all as it was. With room again it works.
    """
    before, refusals = state(), 0
    for free in range(0, most, step):
        with only(point, free):
            failed = refused(work)
            if failed:
                refusals += 1
                left = state()
                assert left == before, f"with {free} bytes free: {left} is not {before}"
        if not failed:
            undo()
        assert state() == before, f"after {free} bytes were free"
    work()
    assert state() != before
    return refusals
