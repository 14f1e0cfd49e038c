"""What vertices result in, and the ways to look at it, to show it and to change it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from boxship.build.cache.record import Folder, Layer
from boxship.build.cache.records import Held
from boxship.build.files.archive import Indexed
from boxship.build.files.tree import Tree
from boxship.build.traces import SNAPSHOTS
from boxship.kernel import mounts
from boxship.snapshot import pack, trees
from boxship.snapshot.driver import ChainId, Difference
from boxship.snapshot.snapshots import Snapshots
from boxship.snapshot.trees import Usage
from boxship.spec.digest import Digest


@dataclass(frozen=True, slots=True)
class Layers:
    """A stack of layers; the empty filesystem where there is no chain."""

    chain: ChainId | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """A folder of files that were brought here, and are not changed while a build uses them.

    Where there is an index, files are looked up in it; the folder of an archive is made when
    somebody looks at it as a folder.
    """

    path: str
    archive: Indexed | None = None
    folder: Folder | None = field(default=None, compare=False)  # a client's, to be held meanwhile


Value = Layers | Files
EMPTY: Final = Layers()


@dataclass(slots=True)
class Writable:
    """A snapshot in the making; `mount` is a detached mount of it."""

    key: str
    parent: ChainId | None
    mount: int


class Filesystems:
    """Looks at results and makes new ones; safe to use from any thread."""

    def __init__(self, snapshots: Snapshots, clock: Callable[[], int]) -> None:
        self._snapshots = snapshots
        self._clock = clock

    @contextmanager
    def looking(self, value: Value) -> Iterator[int]:
        """The root folder of a result, to read from."""
        mounted = self.shown(value)
        try:
            folder = os.open(".", trees.FOLDER, dir_fd=mounted)
            try:
                yield folder
            finally:
                os.close(folder)
        finally:
            os.close(mounted)  # before, the kernel would follow no link that leads up

    @contextmanager
    def reading(self, value: Value) -> Iterator[int | Tree]:
        """The root folder of a result or, where nothing was unpacked, the index of an archive."""
        if isinstance(value, Files) and value.archive is not None:
            yield value.archive.tree
            return
        with self.looking(value) as root:
            yield root

    def shown(self, value: Value) -> int:
        """Return a detached read-only mount of a result."""
        match value:
            case Layers(chain):
                return self._snapshots.view(chain)
            case Files(path, archive):
                if archive is not None:
                    archive.unpack()
                tree = mounts.open_tree(path)
                mounts.mount_setattr(tree, add=mounts.MOUNT_ATTR_RDONLY)
                return tree

    def change(self, parent: ChainId | None, *, bare: bool) -> Writable:
        """Begin a new result on top of another; `keep` it or `drop` it."""
        key = SNAPSHOTS + secrets.token_hex(16)
        self._snapshots.prepare(key, parent, bare=bare)
        try:
            return Writable(key, parent, self._snapshots.open(key, volatile=True))
        except BaseException:
            self._snapshots.remove(key)
            raise

    def own_files(self, writable: Writable) -> int | None:
        """Open the folder of what a result has itself; None where that cannot be told apart.

        In folders that are new files may be made here, beside the mount.
        """
        path = self._snapshots.own_files(writable.key)
        return None if path is None else os.open(path, trees.FOLDER)

    def archive(self, writable: Writable) -> Iterator[bytes]:
        """Yield the archive of what a result has itself, so far."""
        return self._snapshots.diff(writable.key)

    def keep(
        self, writable: Writable, description: str, held: Held, usage: Usage | None = None
    ) -> Layer:
        """Make a layer of it, called by a name of its own until its digest is known."""
        self.close(writable)
        chain = new_name()
        held.chain(chain)
        usage = self._snapshots.seal(writable.key, chain, usage)
        return self.layer(chain, writable.parent, description, usage.size)

    def layer(self, chain: ChainId, parent: ChainId | None, description: str, size: int) -> Layer:
        """Return the record of a layer that is new."""
        now = self._clock()
        return Layer(chain, parent, description, now, now, size=size)

    def drop(self, writable: Writable) -> None:
        """Remove it."""
        self.close(writable)
        self._snapshots.remove(writable.key)

    def close(self, writable: Writable) -> None:
        """Let go of the mount."""
        if writable.mount >= 0:
            os.close(writable.mount)
            writable.mount = -1

    def layered(
        self, value: Value, description: str, held: Held, made: list[Layer]
    ) -> ChainId | None:
        """Return a result as layers to stand on; those of files are made, and added to `made`."""
        if isinstance(value, Layers):
            return value.chain
        layer = self._taken_in(value, description, held)
        made.append(layer)
        return layer.chain

    def _taken_in(self, files: Files, description: str, held: Held) -> Layer:
        writable = self.change(None, bare=True)
        try:
            with self.looking(files) as source:
                target = os.open(".", trees.FOLDER, dir_fd=writable.mount)
                try:
                    trees.copy(source, target)
                finally:
                    os.close(target)
            return self.keep(writable, description, held)
        except BaseException:
            self.drop(writable)
            raise

    def grafted(
        self, layer: ChainId, parent: ChainId | None, description: str, held: Held
    ) -> Layer:
        """Make a layer with the changes of another, on another parent."""
        chain = new_name()
        held.chain(chain)
        self._snapshots.graft(layer, chain, parent)
        return self.layer(chain, parent, description, self._snapshots.layers()[chain].size)

    def of_differences(
        self, differences: Iterable[Difference], description: str, held: Held
    ) -> Layer:
        """Make a layer, on nothing, of differences."""
        unpacked = self._snapshots.unpack(pack.layer(differences))
        assert unpacked.diff_id is not None
        held.chain(ChainId(unpacked.diff_id))
        chain = self._snapshots.commit(unpacked, None).chain
        return self.layer(chain, None, description, self._snapshots.layers()[chain].size)

    def lineage(self, chain: ChainId | None) -> list[ChainId]:
        """Return the layers of a stack, the bottom first."""
        found: list[ChainId] = []
        while chain is not None:
            found.append(chain)
            chain = self._snapshots.parent(chain)
        found.reverse()
        return found

    def has(self, chain: ChainId | None) -> bool:
        """Whether a stack is there."""
        return chain is None or self._snapshots.has_layer(chain)

    def sweep(self) -> bool:
        """Remove what a killed daemon has left half done; return whether there was anything."""
        left = [key for key in self._snapshots.keys() if key.startswith(SNAPSHOTS)]  # noqa: SIM118
        for key in left:
            self._snapshots.remove(key)
        return bool(left)


def new_name() -> ChainId:
    """Return a name for a layer whose digest nobody knows yet."""
    return ChainId(Digest.from_hex(secrets.token_hex(32)))
