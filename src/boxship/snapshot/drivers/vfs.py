"""Plain copies: a whole tree for each layer, for filesystems that cannot carry an overlay.

<root>/layers/<chain>/tree    a committed layer with all below it, with layer.json beside
<root>/init/<chain>/tree      the same with what every container finds
<root>/active/<key>/tree      a writable snapshot, with layer.json beside
<root>/staging/<random>/tree  a layer on its way; gone when the process is
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from boxship.kernel import mounts
from boxship.snapshot import pack, trees
from boxship.snapshot.driver import ChainId, Difference, Kind, Stage
from boxship.snapshot.drivers import initlayer, layerfile, upperdir
from boxship.snapshot.drivers.kept import Kept
from boxship.snapshot.drivers.layerfile import LayerFile
from boxship.snapshot.extract import Whiteouts
from boxship.snapshot.trees import Usage


class Vfs(Kept):
    """The driver."""

    name = "vfs"
    independent = False

    def __init__(self, root: str) -> None:
        super().__init__(root)
        os.makedirs(self._path("empty"), 0o700, exist_ok=True)
        os.makedirs(self._path("empty", "tree"), 0o755, exist_ok=True)
        os.chmod(self._path("empty", "tree"), 0o755)

    def stage(self, parent: ChainId | None) -> Stage:
        """Begin a layer with a copy of what is below it."""
        with self._copied(self._tree(parent)) as path:
            return Stage.beneath(path, "tree", Whiteouts.REMOVE)

    def commit(self, stage: Stage, chain: ChainId, parent: ChainId | None) -> None:
        """Measure what was added, and give the tree its name."""
        with self._turn:
            if chain in self._layers:
                self.discard(stage)
                return
            usage = stage.usage()
            if parent is not None:
                below = self._tree_usage(parent)
                usage.size = max(0, usage.size - below.size)
                usage.inodes = max(0, usage.inodes - below.inodes)
            record = LayerFile(parent=parent, size=usage.size, inodes=usage.inodes, boot=self._boot)
            layerfile.write(stage.path, record)
            os.rename(stage.path, self._path("layers", chain.hex))
            stage.close()
            self._layers[chain] = record

    def layer_differences(self, chain: ChainId) -> Iterator[Difference]:
        """Compare a layer's tree with the one below."""
        yield from self._compare(self._tree(self.parent(chain)), self._tree(chain))

    def graft(self, layer: ChainId, chain: ChainId, parent: ChainId | None) -> None:
        """Carry the layer's changes out once more, on a copy of another parent."""
        stage = self.stage(parent)
        try:
            stage.extraction.extract(pack.layer(self.layer_differences(layer)))
        except BaseException:
            self.discard(stage)
            raise
        self.commit(stage, chain, parent)

    def prepare(self, key: str, parent: ChainId | None, *, bare: bool = False) -> None:
        """Copy a layer."""
        layerfile.check_key(key)
        self._by_name(lambda: self._prepare(key, parent, bare=bare))

    def _prepare(self, key: str, parent: ChainId | None, *, bare: bool) -> None:
        now = None if parent is None else self._name(parent)
        with self._copied(self._tree(now) if bare else self._init(now)) as path:
            self._appear(path, key, parent, bare=bare)

    def seal(self, key: str, chain: ChainId, usage: Usage | None = None) -> Usage:
        """Move the tree among the layers."""
        usage = usage or self.usage(key)
        folder = self._path("active", key)
        with self._turn:
            parent = self._active(key).parent
            record = LayerFile(parent=parent, size=usage.size, inodes=usage.inodes, boot=self._boot)
            layerfile.write(folder, record)
            os.rename(folder, self._path("layers", chain.hex))
            self._layers[chain] = record
        return usage

    def open(self, key: str, *, volatile: bool = False) -> int:
        """Return a detached mount of the snapshot's tree."""
        self._active(key)
        return _detached(self._path("active", key, "tree"))

    def own_files(self, key: str) -> str | None:
        """Say that there is none: a snapshot's tree holds all that is below it, too."""
        return None

    def layer_files(self, chain: ChainId) -> str | None:
        """Say that there is none, as of a snapshot."""
        return None

    def view(self, chain: ChainId | None) -> int:
        """Return a detached read-only mount of the layer's tree."""
        return self._by_name(lambda: _detached(self._tree(chain), mounts.MOUNT_ATTR_RDONLY))

    def info(self, key: str) -> dict[str, str]:
        """Docker's vfs driver shows nothing."""
        self._active(key)
        return {}

    def differences(self, key: str) -> Iterator[Difference]:
        """Compare the snapshot's tree with the one it was copied from."""
        record = self._active(key)
        parent = None if record.parent is None else ChainId(record.parent)
        before = self._tree(parent) if record.bare else self._init(parent)
        yield from self._compare(before, self._path("active", key, "tree"))

    def _compare(self, before_path: str, path: str) -> Iterator[Difference]:
        with ExitStack() as opened:
            below = os.open(before_path, trees.FOLDER)
            opened.callback(os.close, below)
            tree = os.open(path, trees.FOLDER)
            opened.callback(os.close, tree)
            yield from _gone(below, tree, b"")
            for node in trees.walk(tree, large_first=True):
                before = upperdir.status(below, node.path)
                folder = stat.S_ISDIR(node.stat.st_mode)
                if before is None:
                    yield Difference(node.path, Kind.ADDED, node)
                elif _differ(node.stat, before):
                    yield Difference(node.path, Kind.MODIFIED, node)
                if folder and before is not None:
                    yield from _gone(below, tree, node.path)

    def usage(self, key: str) -> Usage:
        """Measure what the snapshot changed; that is the sum of the files that differ."""
        measured = Usage()
        for difference in self.differences(key):
            if difference.node is not None:
                measured.inodes += 1
                if stat.S_ISREG(difference.node.stat.st_mode):
                    measured.size += difference.node.stat.st_size
        return measured

    def _tree(self, chain: ChainId | None) -> str:
        if chain is None:
            return self._path("empty", "tree")
        self._layer(chain)
        return self._path("layers", self._name(chain).hex, "tree")

    def _tree_usage(self, chain: ChainId) -> Usage:
        """What a layer takes with all below it."""
        total, at = Usage(), ChainId(chain)
        while True:
            record = self._layer(at)
            total.size += record.size
            total.inodes += record.inodes
            if record.parent is None:
                return total
            at = ChainId(record.parent)

    @contextmanager
    def _copied(self, source: str) -> Iterator[str]:
        """A new staging folder with a copy of the tree at `source`."""
        with layerfile.staged(self._path("staging")) as path:
            os.mkdir(os.path.join(path, "tree"), 0o700)
            with ExitStack() as opened:
                folders = []
                for folder in (source, os.path.join(path, "tree")):
                    folders.append(os.open(folder, trees.FOLDER))
                    opened.callback(os.close, folders[-1])
                trees.copy(*folders)
            yield path

    def _init(self, chain: ChainId | None) -> str:
        """Return the tree that containers of `chain` begin with, made when first asked for."""
        made = self._path("init", chain.hex if chain else "scratch")
        with self._turn:
            if not os.path.exists(made):
                with self._copied(self._tree(chain)) as path:
                    below = os.open(self._tree(chain), trees.FOLDER)
                    try:
                        initlayer.fill(os.path.join(path, "tree"), below)
                    finally:
                        os.close(below)
                    os.rename(path, made)
        return os.path.join(made, "tree")


def _gone(below: int, tree: int, path: bytes) -> Iterator[Difference]:
    """Yield what a folder had and has no more."""
    for inner in upperdir.hidden(tree, below, path):
        yield Difference(inner, Kind.DELETED, None)


def _differ(one: os.stat_result, two: os.stat_result) -> bool:
    """Whether a file was changed, as far as its inode shows; a folder's size means nothing."""
    size = 0 if stat.S_ISDIR(one.st_mode) else one.st_size - two.st_size
    return bool(size) or (
        one.st_mode,
        one.st_uid,
        one.st_gid,
        one.st_rdev,
        one.st_mtime_ns,
    ) != (two.st_mode, two.st_uid, two.st_gid, two.st_rdev, two.st_mtime_ns)


def _detached(tree: str, attributes: int = 0) -> int:
    """Copy the mount that a tree is on; a copy of what is shared would be shared with it."""
    mounted = mounts.open_tree(tree)
    try:
        mounts.mount_setattr(mounted, add=attributes, propagation=mounts.MS_PRIVATE)
    except BaseException:
        os.close(mounted)
        raise
    return mounted
