"""What drivers on folders share: layers and snapshots are folders with a record in each.

    <root>/layers/<chain>    a committed layer, with layer.json in it
    <root>/init/<chain>      what every container finds, as far as the image lacks it
    <root>/active/<key>      a writable snapshot, with layer.json in it
    <root>/staging/<random>  what is on its way; gone when the process is

What else is in a folder is the driver's.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import TypeVar

from msgspec.structs import replace

from boxship.snapshot import trees
from boxship.snapshot.driver import ChainId, Stage
from boxship.snapshot.drivers import layerfile
from boxship.snapshot.drivers.layerfile import LayerFile
from boxship.snapshot.errors import NoSuchSnapshot, SnapshotExists
from boxship.snapshot.trees import Usage

T = TypeVar("T")


class Kept:
    """The folders and their records; changes to them take turns."""

    def __init__(self, root: str) -> None:
        self.root = root
        for folder in ("layers", "active", "init"):
            os.makedirs(self._path(folder), 0o700, exist_ok=True)
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

    # layers

    def discard(self, stage: Stage) -> None:
        """Remove a staged layer."""
        stage.close()
        trees.remove_path(stage.path)

    def settle(self) -> None:
        """Bring what was committed to the disk."""
        layerfile.settle(self._path("layers"), self._layers, self._turn)

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

    def rename_layer(self, old: ChainId, new: ChainId, parent: ChainId | None) -> bool:
        """Rename the folder, and tell those that stand on it."""
        with self._turn:
            old = self._name(old)
            if old == new:
                return True
            if new in self._layers:
                return False
            before = self._layer(old)
            record = replace(before, parent=parent)
            with ExitStack() as undo:  # the disk may have no room for it
                self._link(record, new)
                undo.callback(self._drop_links, record)
                layerfile.write(self._path("layers", old.hex), record)
                undo.callback(_write_back, self._path("layers", old.hex), before)
                for place in ("layers", "init"):
                    was, becomes = self._path(place, old.hex), self._path(place, new.hex)
                    with suppress(FileNotFoundError):
                        os.rename(was, becomes)
                        undo.callback(os.rename, becomes, was)
                undo.pop_all()
            self._drop_links(before)
            self._layers[new] = record
            self._renamed[old] = new  # before the old name goes: readers take no turn
            del self._layers[old]
            self._move_children(old, new)
            return True

    def _link(self, record: LayerFile, new: ChainId) -> None:
        """Make for a new name what a driver keeps beside the folder; note it in the record."""

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

    def detach_layer(self, chain: ChainId) -> list[str]:
        """Take a layer's name away; its files are left to be removed."""
        with self._turn:
            chain = self._name(chain)
            record = self._layers.pop(chain, None)
            if record is None:
                return []
            aside = self._path("staging", secrets.token_hex(8))
            os.rename(self._path("layers", chain.hex), aside)
            self._drop_links(record)
            with suppress(FileNotFoundError):
                os.rename(self._path("init", chain.hex), aside + "-init")
        return [aside, aside + "-init"]

    def _drop_links(self, record: LayerFile) -> None:
        """Delete what a driver keeps beside a layer's folder."""

    def _by_name(self, work: Callable[[], T]) -> T:
        """Do what finds layers by their names; if one is renamed meanwhile, again, in its turn."""
        try:
            return work()
        except FileNotFoundError:
            with self._turn:
                return work()

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

    # snapshots

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

    def _appear(self, path: str, key: str, parent: ChainId | None, *, bare: bool) -> None:
        """Let a staged snapshot appear; a layer that is renamed from then on tells it."""
        with self._turn:
            now = None if parent is None else self._name(parent)
            layerfile.write(path, LayerFile(parent=now, bare=bare))
            if self.exists(key):
                raise SnapshotExists(f"snapshot {key} exists already")
            os.rename(path, self._path("active", key))

    def remove(self, key: str) -> None:
        """Take a snapshot's name away, and then its files."""
        layerfile.check_key(key)
        aside = self._path("staging", secrets.token_hex(8))
        with suppress(FileNotFoundError):
            os.rename(self._path("active", key), aside)
            trees.remove_path(aside)

    def _active(self, key: str) -> LayerFile:
        layerfile.check_key(key)
        try:
            return layerfile.read(self._path("active", key))
        except FileNotFoundError:
            raise NoSuchSnapshot(f"snapshot {key} does not exist") from None


def _write_back(folder: str, record: LayerFile) -> None:
    with suppress(OSError):  # what is there says the same, but for its links
        layerfile.write(folder, record)
