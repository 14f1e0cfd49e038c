"""What a driver of filesystems does, and the values that go in and out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NewType, Protocol, Self

from boxship.snapshot import trees
from boxship.snapshot.extract import Extraction, Whiteouts
from boxship.snapshot.trees import Node, Usage
from boxship.spec.digest import Digest

ChainId = NewType("ChainId", Digest)


class Kind(IntEnum):
    """What happened to a path; the numbers are the Engine API's."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True, slots=True)
class Change:
    """One path that is not as the layers below have it."""

    path: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Difference:
    """A path that a snapshot has or hides; `node` is None where it is gone.

    `kind` is None for a folder that is only there because something in it is different.
    `opaque` is said of a folder that hides all it had, and of what such a folder hides.
    """

    path: bytes
    kind: Kind | None
    node: Node | None
    opaque: bool = False


@dataclass(slots=True)
class Stage:
    """A layer that is being unpacked: nobody sees it until it is committed."""

    path: str  # of the folder that `Driver.commit` takes, or `Driver.discard` removes
    extraction: Extraction
    root: int

    @classmethod
    def beneath(cls, path: str, name: str, whiteouts: Whiteouts) -> Self:
        """Begin to unpack into the folder `name` of one of ours."""
        folder = os.path.join(path, name)
        root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return cls(path, Extraction(root, whiteouts), root)
        except BaseException:
            os.close(root)
            raise

    def usage(self) -> Usage:
        """Measure what has been unpacked."""
        root = os.open(".", trees.FOLDER, dir_fd=self.root)
        try:
            return trees.usage(root)
        finally:
            os.close(root)

    def close(self) -> None:
        """Let go of the descriptors."""
        if self.root >= 0:
            self.extraction.close()
            os.close(self.root)
            self.root = -1


class Driver(Protocol):
    """Committed layers by chain ID, and writable snapshots by key."""

    name: str
    root: str  # where it keeps everything
    independent: bool  # layers may be unpacked before those below them are there

    def stage(self, parent: ChainId | None) -> Stage:
        """Begin a layer; `parent` matters only where layers are not independent."""

    def commit(self, stage: Stage, chain: ChainId, parent: ChainId | None) -> None:
        """Make a staged layer the one called `chain`; if that exists, the staged one goes."""

    def discard(self, stage: Stage) -> None:
        """Remove a staged layer."""

    def settle(self) -> None:
        """Bring what was committed to the disk; until then another boot does not believe it."""

    def layers(self) -> Mapping[ChainId, Usage]:
        """Return the committed layers, and what each takes by itself."""

    def has_layer(self, chain: ChainId) -> bool:
        """Whether a layer is there."""

    def parent(self, chain: ChainId) -> ChainId | None:
        """Return what `chain` is based on."""

    def detach_layer(self, chain: ChainId) -> list[str]:
        """Take a committed layer's name away; return the paths that are then to be removed."""

    def layer_differences(self, chain: ChainId) -> Iterator[Difference]:
        """Yield what a layer changes of those below it, folders before what they hold."""

    def rename_layer(self, old: ChainId, new: ChainId, parent: ChainId | None) -> bool:
        """Call a layer, now on `parent`, by another name; False where that one exists.

        What stands on it follows, and its old name is understood until the process ends.
        """

    def graft(self, layer: ChainId, chain: ChainId, parent: ChainId | None) -> None:
        """Make the layer `chain` on `parent`, with the changes that `layer` makes."""

    def prepare(self, key: str, parent: ChainId | None, *, bare: bool = False) -> None:
        """Make a writable snapshot of `parent`; a `bare` one has the image's files and no more."""

    def seal(self, key: str, chain: ChainId, usage: Usage | None = None) -> Usage:
        """Make a snapshot, that nobody writes to any more, the layer called `chain`."""

    def keys(self) -> Iterator[str]:
        """Yield the keys of the writable snapshots."""

    def bases(self) -> Iterator[ChainId]:
        """Yield the layers that writable snapshots stand on."""

    def exists(self, key: str) -> bool:
        """Whether there is a snapshot called `key`."""

    def remove(self, key: str) -> None:
        """Remove a snapshot, if it exists."""

    def open(self, key: str, *, volatile: bool = False) -> int:
        """Return a new detached mount of a snapshot; a volatile one can be had only once."""

    def own_files(self, key: str) -> str | None:
        """Return the folder of what a snapshot has itself, if there is one."""

    def layer_files(self, chain: ChainId) -> str | None:
        """Return the folder of what a layer has itself, if there is one."""

    def view(self, chain: ChainId | None) -> int:
        """Return a new detached read-only mount of a layer and those below it."""

    def info(self, key: str) -> dict[str, str]:
        """Return what the Engine API shows as GraphDriver.Data."""

    def differences(self, key: str) -> Iterator[Difference]:
        """Yield what a snapshot changes, folders before what they hold."""

    def usage(self, key: str) -> Usage:
        """Return what a snapshot takes by itself."""
