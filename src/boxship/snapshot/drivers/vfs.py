"""Plain copies: a whole tree for each layer, for filesystems that cannot carry an overlay.

<root>/layers/<chain>/tree    a committed layer with all below it, with layer.json beside
<root>/init/<chain>/tree      the same with what every container finds
<root>/active/<key>/tree      a writable snapshot, with layer.json beside
<root>/staging/<random>/tree  a layer on its way; gone when the process is
"""

from __future__ import annotations

import os
import secrets
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from msgspec.structs import replace

from boxship.kernel import mounts
from boxship.snapshot import pack, trees
from boxship.snapshot.driver import ChainId, Difference, Kind, Stage
from boxship.snapshot.drivers import initlayer, layerfile, upperdir
from boxship.snapshot.drivers.layerfile import LayerFile
from boxship.snapshot.errors import NoSuchSnapshot, SnapshotExists
from boxship.snapshot.extract import Extraction, Whiteouts
from boxship.snapshot.trees import Usage


class Vfs:
    """The driver."""

    name = "vfs"
    independent = False

    def __init__(self, root: str) -> None:
        self.root = root
        for folder in ("layers", "active", "init", "empty"):
            os.makedirs(os.path.join(root, folder), 0o700, exist_ok=True)
        os.makedirs(self._path("empty", "tree"), 0o755, exist_ok=True)
        os.chmod(self._path("empty", "tree"), 0o755)
        trees.remove_path(self._path("staging"))
        os.mkdir(self._path("staging"), 0o700)
        self._turn = threading.RLock()
        self._boot = layerfile.this_boot()
        self._renamed: dict[ChainId, ChainId] = {}
        self._layers, doubtful = layerfile.read_all(self._path("layers"), self._boot)
        for name in doubtful:
            trees.remove_path(self._path("layers", name))
            trees.remove_path(self._path("init", name))

    def _path(self, *parts: str) -> str:
        return os.path.join(self.root, *parts)

    def stage(self, parent: ChainId | None) -> Stage:
        """Begin a layer with a copy of what is below it."""
        with self._copied(self._tree(parent)) as path:
            root = os.open(os.path.join(path, "tree"), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return Stage(path, Extraction(root, Whiteouts.REMOVE), root)
            except BaseException:
                os.close(root)
                raise

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

    def discard(self, stage: Stage) -> None:
        """Remove a staged layer."""
        stage.close()
        trees.remove_path(stage.path)

    def settle(self) -> None:
        """Bring what was committed to the disk."""
        layerfile.settle(self._path("layers"), self._layers)

    def layers(self) -> Mapping[ChainId, Usage]:
        """Return the committed layers."""
        with self._turn:
            return {c: Usage(record.size, record.inodes) for c, record in self._layers.items()}

    def has_layer(self, chain: ChainId) -> bool:
        """Whether a layer is there."""
        return self._name(chain) in self._layers

    def parent(self, chain: ChainId) -> ChainId | None:
        """Return what `chain` is based on."""
        parent = self._layer(chain).parent
        return None if parent is None else ChainId(parent)

    def layer_differences(self, chain: ChainId) -> Iterator[Difference]:
        """Compare a layer's tree with the one below."""
        yield from self._compare(self._tree(self.parent(chain)), self._tree(chain))

    def rename_layer(self, old: ChainId, new: ChainId, parent: ChainId | None) -> bool:
        """Rename the folder, and tell those that stand on it."""
        with self._turn:
            old = self._name(old)
            if old == new:
                return True
            if new in self._layers:
                return False
            record = replace(self._layer(old), parent=parent)
            os.rename(self._path("layers", old.hex), self._path("layers", new.hex))
            with suppress(FileNotFoundError):
                os.rename(self._path("init", old.hex), self._path("init", new.hex))
            layerfile.write(self._path("layers", new.hex), record)
            del self._layers[old]
            self._layers[new] = record
            self._renamed[old] = new
            self._move_children(old, new)
            return True

    def _move_children(self, old: ChainId, new: ChainId) -> None:
        for chain, record in list(self._layers.items()):
            if record.parent == old:
                moved = self._layers[chain] = replace(record, parent=new)
                layerfile.write(self._path("layers", chain.hex), moved)
        for key in self.keys():
            with suppress(NoSuchSnapshot, FileNotFoundError):
                active = self._active(key)
                if active.parent == old:
                    layerfile.write(self._path("active", key), replace(active, parent=new))

    def graft(self, layer: ChainId, chain: ChainId, parent: ChainId | None) -> None:
        """Carry the layer's changes out once more, on a copy of another parent."""
        stage = self.stage(parent)
        try:
            stage.extraction.extract(pack.layer(self.layer_differences(layer)))
        except BaseException:
            self.discard(stage)
            raise
        self.commit(stage, chain, parent)

    def detach_layer(self, chain: ChainId) -> list[str]:
        """Take a layer's name away; its files are left to be removed."""
        with self._turn:
            chain = self._name(chain)
            if self._layers.pop(chain, None) is None:
                return []
            aside = self._path("staging", secrets.token_hex(8))
            os.rename(self._path("layers", chain.hex), aside)
            with suppress(FileNotFoundError):
                os.rename(self._path("init", chain.hex), aside + "-init")
        return [aside, aside + "-init"]

    def prepare(self, key: str, parent: ChainId | None, *, bare: bool = False) -> None:
        """Copy a layer."""
        layerfile.check_key(key)
        parent = None if parent is None else self._name(parent)
        with self._copied(self._tree(parent) if bare else self._init(parent)) as path:
            layerfile.write(path, LayerFile(parent=parent, bare=bare))
            if self.exists(key):
                raise SnapshotExists(f"snapshot {key} exists already")
            os.rename(path, self._path("active", key))

    def seal(self, key: str, chain: ChainId) -> Usage:
        """Move the tree among the layers."""
        usage = self.usage(key)
        folder = self._path("active", key)
        with self._turn:
            parent = self._active(key).parent
            record = LayerFile(parent=parent, size=usage.size, inodes=usage.inodes, boot=self._boot)
            layerfile.write(folder, record)
            os.rename(folder, self._path("layers", chain.hex))
            self._layers[chain] = record
        return usage

    def keys(self) -> Iterator[str]:
        """Yield the keys of the snapshots."""
        yield from os.listdir(self._path("active"))

    def bases(self) -> Iterator[ChainId]:
        """Yield the layers that snapshots stand on."""
        for key in self.keys():
            with suppress(NoSuchSnapshot):
                if (parent := self._active(key).parent) is not None:
                    yield ChainId(parent)

    def exists(self, key: str) -> bool:
        """Whether there is a snapshot called `key`."""
        layerfile.check_key(key)
        return os.path.exists(self._path("active", key))

    def remove(self, key: str) -> None:
        """Take a snapshot's name away, and then its files."""
        layerfile.check_key(key)
        aside = self._path("staging", secrets.token_hex(8))
        with suppress(FileNotFoundError):
            os.rename(self._path("active", key), aside)
            trees.remove_path(aside)

    def open(self, key: str, *, volatile: bool = False) -> int:
        """Return a detached mount of the snapshot's tree."""
        self._active(key)
        return _detached(self._path("active", key, "tree"))

    def view(self, chain: ChainId | None) -> int:
        """Return a detached read-only mount of the layer's tree."""
        return _detached(self._tree(chain), mounts.MOUNT_ATTR_RDONLY)

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
            for node in trees.walk(tree):
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

    def _name(self, chain: ChainId) -> ChainId:
        """Return what a layer is called now."""
        while (new := self._renamed.get(chain)) is not None:
            chain = new
        return chain

    def _layer(self, chain: ChainId) -> LayerFile:
        try:
            return self._layers[self._name(chain)]
        except KeyError:
            raise NoSuchSnapshot(f"layer {chain} does not exist") from None

    def _active(self, key: str) -> LayerFile:
        layerfile.check_key(key)
        try:
            return layerfile.read(self._path("active", key))
        except FileNotFoundError:
            raise NoSuchSnapshot(f"snapshot {key} does not exist") from None

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
