"""What has come of blobs whose download broke off: the next one goes on from there.

    <root>/partial/<64 hex digits>   the beginning of a blob

Nothing of it is believed: whoever goes on hashes it from its first byte. It outlives the process,
and is bounded in number, size and age; on a disk with little room next to nothing is kept.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from boxship.spec.digest import HEX_DIGITS, Digest

SMALLEST: Final = 1 << 20  # bytes; less is not worth keeping
MOST: Final = 32
LARGEST: Final = 8 << 30  # bytes, all together; and half of what is free at most
OLDEST: Final = 3 * 86400.0  # seconds since something came


@dataclass(slots=True)
class Begun:
    """A blob to go on with: `size` bytes of it are at `path`; `lasts` unless another is at it."""

    path: str
    size: int
    lasts: bool


class Partials:
    """The beginnings of blobs, in a folder of their own; safe to use from any thread."""

    def __init__(self, folder: str, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._turn = threading.Lock()
        self._worked_on: set[str] = set()
        os.makedirs(folder, 0o700, exist_ok=True)
        self.prune()

    @contextmanager
    def begun(self, digest: Digest, elsewhere: str) -> Iterator[Begun]:
        """What there is of a blob, and is nobody else's until the block ends.

        While somebody else goes on with it, it is begun anew `elsewhere`.
        """
        path = os.path.join(self._folder, digest.hex)
        with self._turn:
            if path in self._worked_on:
                path = ""
            else:
                self._worked_on.add(path)
        if not path:
            yield Begun(elsewhere, 0, lasts=False)
            return
        try:
            yield Begun(path, _size(path), lasts=True)
        finally:
            with self._turn:
                self._worked_on.discard(path)
            self.prune()

    def prune(self) -> int:
        """Remove what is too much, too old, or too little; return how many bytes that freed."""
        found = os.statvfs(self._folder)
        return self._prune(MOST, min(LARGEST, found.f_bavail * found.f_frsize // 2))

    def clear(self) -> int:
        """Remove all that nobody is at work on; return how many bytes that freed."""
        return self._prune(0, 0)

    def _prune(self, most: int, room: int) -> int:
        with self._turn:
            freed = kept = 0
            for changed, size, path in sorted(self._all(), reverse=True):
                room -= size
                old = self._clock() - changed > OLDEST
                if size >= SMALLEST and kept < most and room >= 0 and not old:
                    kept += 1
                else:
                    with suppress(FileNotFoundError):
                        os.unlink(path)
                        freed += size
            return freed

    def _all(self) -> Iterator[tuple[float, int, str]]:
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            if path not in self._worked_on and len(name) == HEX_DIGITS:
                with suppress(FileNotFoundError):
                    about = os.stat(path)
                    yield about.st_mtime, about.st_size, path


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
