"""What the last copy of the same kind has made: its files are given second names, not copied.

    <folder>/<key>    msgpack of Saved, by what was copied how; not believed after another boot

A file that has not changed is linked from the layer of last time, which nobody writes to, and its
entry in that layer's archive is referred to, not written. What has changed is found by content and
attributes, not by trust in anybody's clock.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from boxship.build.files import place
from boxship.build.files.place import Given
from boxship.build.files.select import Picked
from boxship.build.files.tree import Node
from boxship.build.ops import Copy
from boxship.content.assembly import OWN
from boxship.snapshot import trees
from boxship.snapshot.driver import ChainId
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.digest import Digest

MOST_KEPT: Final = 16
SHARE: Final = 4  # of a quarter that is new at most, the rest is worth referring to

Identity = tuple[int, int]
Facts = tuple[int, int, int, int, bytes]  # mode, owner, group, time; digest, or what a link says
Noted = tuple[Facts, int, int]  # and where the blob has the entry, which takes so many bytes
UNKNOWN: Final[Noted] = ((0, 0, 0, 0, b""), OWN, 0)


class Saved(msgspec.Struct, array_like=True):
    """A folder of a layer, and its files: path, facts, and where the blob has their entries.

    A mode is one of stat(2): it says what kind of file it is.
    """

    boot: str
    layer: str
    path: bytes
    identity: Identity
    blob: str
    files: list[tuple[bytes, Facts, int, int]]


class Last:
    """The files of last time; `folder` is where they are, until `close`."""

    def __init__(self, saved: Saved, folder: int) -> None:
        self.blob = Digest(saved.blob)
        self.layer = ChainId(Digest(saved.layer))
        self.folder = folder
        self.files: dict[bytes, Noted]
        self.files = {path: (facts, at, size) for path, facts, at, size in saved.files}

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self.folder)

    def has_most_of(self, found: Sequence[Picked], given: Given) -> bool:
        """Whether the blob has by far the most of what is copied, with the same times."""
        new = total = 0
        timed = given.time < 0
        for one in found:
            node = one.stat
            total += node.st_size
            (_, _, _, mtime, digest), at, _ = self.files.get(one.rel, UNKNOWN)
            if (
                at == OWN
                or not isinstance(node, Node)
                or digest != node.digest
                or (timed and mtime != node.st_mtime_ns)
            ):
                new += node.st_size
        return new * SHARE <= total


class LastCopies:
    """Keeps the newest of them; safe to use from any thread."""

    def __init__(self, folder: str, snapshots: Snapshots, boot: str) -> None:
        self._folder = folder
        self._snapshots = snapshots
        self._boot = boot
        os.makedirs(folder, 0o700, exist_ok=True)

    def find(self, key: str, path: bytes) -> Last | None:
        """Return what was made at `path` last time, if it is still there."""
        try:
            with open(os.path.join(self._folder, key), "rb") as file:
                saved = msgspec.msgpack.decode(file.read(), type=Saved)
        except (FileNotFoundError, msgspec.DecodeError, msgspec.ValidationError):
            return None
        if saved.boot != self._boot or saved.path != path:
            return None
        folder = self.opened(ChainId(Digest(saved.layer)), saved.path, saved.identity)
        return None if folder is None else Last(saved, folder)

    def identity(self, layer: ChainId, path: bytes) -> Identity:
        """Return what tells a folder of a finished layer from one that takes its place later."""
        folder = self.opened(layer, path)
        if folder is None:
            return 0, 0
        try:
            return _identity(folder)
        finally:
            os.close(folder)

    def opened(self, layer: ChainId, path: bytes, identity: Identity | None = None) -> int | None:
        """Open a folder of a layer, if it is still the one that it was."""
        files = self._snapshots.layer_files(layer)
        if files is None:
            return None
        try:
            root = os.open(files, trees.FOLDER)
        except FileNotFoundError:
            return None
        try:
            folder = place.folder(root, path)
        except OSError:
            return None
        finally:
            os.close(root)
        if identity is not None and _identity(folder) != identity:
            os.close(folder)
            return None
        return folder

    def save(self, key: str, saved: Saved) -> None:
        """Note what has been made, if the layer is the one that it was made in."""
        saved.boot = self._boot
        folder = self.opened(ChainId(Digest(saved.layer)), saved.path, saved.identity)
        if folder is None:
            return
        os.close(folder)
        path = os.path.join(self._folder, key)
        with open(path + ".new", "wb") as file:
            file.write(msgspec.msgpack.encode(saved))
        os.rename(path + ".new", path)
        self._trim()

    def _trim(self) -> None:
        with os.scandir(self._folder) as entries:
            by_age = sorted((entry.stat().st_mtime_ns, entry.path) for entry in entries)
        for _, path in by_age[:-MOST_KEPT]:
            with suppress(FileNotFoundError):
                os.unlink(path)


def _identity(folder: int) -> Identity:
    """Numbers of inodes are used again, with another time of the last change."""
    status = os.fstat(folder)
    return status.st_ino, status.st_ctime_ns


def key(wanted: Copy, given: Given) -> str:
    """Return what copies have in common that take the same of a context to the same place."""
    said = msgspec.msgpack.encode((wanted, given))
    return hashlib.sha256(said).hexdigest()
