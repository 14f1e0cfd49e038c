"""Large files of layers, that files of a context are compared with while they arrive.

The classic API sends all files with each build. A large one that has the path and the size of one
that was copied before is compared with that, byte by byte: as long as they are equal nothing of it
is hashed or written. What a layer's file holds is known by the digest of it that was noted when it
was made, and believed as it is for linking (see `last`).
"""

from __future__ import annotations

import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from boxship.build.files.last import Identity, LastCopies, Saved
from boxship.build.files.select import NOWHERE, PLAIN, Picked
from boxship.build.files.tree import Node
from boxship.kernel import paths
from boxship.snapshot import trees
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest

MOST: Final = 4096
CHUNK: Final = 1 << 18
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class KnownFile:
    """A file that is open, and does not change; fulfils `assembly.Opened`, `tree.Known`."""

    def __init__(self, file: int, size: int, digest: bytes) -> None:
        self.file = file
        self.size = size
        self.digest = digest

    def __del__(self) -> None:
        os.close(self.file)

    def has(self, data: memoryview, at: int) -> bool:
        """Whether these are its bytes at a place."""
        done, size = 0, len(data)
        while done < size:
            part = data[done : done + CHUNK]
            try:
                here = os.pread(self.file, len(part), at + done)
            except OSError:  # the disk does not say what is there
                return False
            if not here.startswith(part):
                return False
            done += len(part)
        return True


@dataclass(frozen=True, slots=True)
class Large:
    """A large file that a copy takes: where it is in the context, and beneath what is copied."""

    path: bytes
    size: int
    rel: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class _Place:
    layer: ChainId
    folder: bytes
    identity: Identity
    rel: bytes
    digest: bytes


class KnownFiles:
    """Where the newest of them are; safe to use from any thread."""

    def __init__(self, copies: LastCopies) -> None:
        self._copies = copies
        self._turn = threading.Lock()
        self._places: OrderedDict[tuple[bytes, int], _Place] = OrderedDict()

    def note(self, saved: Saved, files: Iterable[Large]) -> None:
        """Take note of what a copy has made."""
        layer = ChainId(Digest(saved.layer))
        with self._turn:
            for one in files:
                key = one.path, one.size
                place = _Place(layer, saved.path, saved.identity, one.rel, one.digest)
                self._places[key] = place
                self._places.move_to_end(key)
            while len(self._places) > MOST:
                self._places.popitem(last=False)

    def find(self, path: bytes, size: int) -> KnownFile | None:
        """Open what a file at this path of a context, that is so large, may be the same as."""
        with self._turn:
            place = self._places.get((path, size))
        if place is None:
            return None
        file = self._opened(place)
        if file != NOWHERE:
            status = os.fstat(file)
            if stat.S_ISREG(status.st_mode) and status.st_size == size:
                return KnownFile(file, size, place.digest)
            os.close(file)
        with self._turn:
            if self._places.get((path, size)) is place:
                del self._places[path, size]
        return None

    def _opened(self, place: _Place) -> int:
        folder = self._copies.opened(place.layer, place.folder, place.identity)
        if folder is None:
            return NOWHERE
        try:
            return paths.openat2(folder, place.rel, READ, 0, PLAIN)
        except OSError:
            return NOWHERE
        finally:
            os.close(folder)


def large(above: bytes, found: Iterable[Picked]) -> list[Large]:
    """Return which of what was picked beneath a path of a context is large."""
    return [
        Large(above + b"/" + one.rel if above else one.rel, node.st_size, one.rel, node.digest)
        for one in found
        if isinstance(node := one.stat, Node) and trees.is_large(node)
    ]
