"""Merge and Diff: layers laid over each other, and what one result changed in another."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from boxship.build.cache.record import Layer
from boxship.build.cache.records import Held
from boxship.build.filesystems import EMPTY, Filesystems, Layers, Value
from boxship.build.ops import Diff
from boxship.kernel.paths import openat2
from boxship.snapshot import trees
from boxship.snapshot.driver import ChainId, Difference, Kind
from boxship.snapshot.drivers import upperdir


class Merging:
    """Makes such results; blocks."""

    def __init__(self, filesystems: Filesystems) -> None:
        self._filesystems = filesystems

    def merge(
        self, inputs: Sequence[Value], description: str, held: Held, made: list[Layer]
    ) -> dict[int, Value]:
        """Put the layers of every input on those of the first."""
        chains = [self._filesystems.layered(one, description, held, made) for one in inputs]
        top: ChainId | None = chains[0] if chains else None
        for chain in chains[1:]:
            for one in self._filesystems.lineage(chain):
                top = self._graft(one, top, description, held, made)
        return {0: Layers(top)}

    def diff(
        self, op: Diff, inputs: Sequence[Value], description: str, held: Held, made: list[Layer]
    ) -> dict[int, Value]:
        """Make layers of what the last input has and the one before it has not."""
        values = [*inputs]
        upper = values.pop() if values else EMPTY
        lower = values.pop() if values and not op.whole else EMPTY
        above = self._filesystems.lineage(self._filesystems.layered(upper, description, held, made))
        below = self._filesystems.lineage(self._filesystems.layered(lower, description, held, made))
        top: ChainId | None = None
        if above[: len(below)] == below:
            if not below:
                return {0: upper}
            for one in above[len(below) :]:
                top = self._graft(one, top, description, held, made)
            return {0: Layers(top)}
        with self._filesystems.looking(lower) as old, self._filesystems.looking(upper) as new:
            layer = self._filesystems.of_differences(compare(old, new), description, held)
        made.append(layer)
        return {0: Layers(layer.chain)}

    def _graft(
        self,
        layer: ChainId,
        top: ChainId | None,
        description: str,
        held: Held,
        made: list[Layer],
    ) -> ChainId:
        new = self._filesystems.grafted(layer, top, description, held)
        made.append(new)
        return new.chain


def compare(below: int, tree: int) -> Iterator[Difference]:
    """Yield what makes `tree` of `below`, folders before what they hold."""
    yield from _gone(below, tree, b"")
    for node in trees.walk(tree, large_first=True):
        before = upperdir.status(below, node.path)
        if before is None:
            yield Difference(node.path, Kind.ADDED, node)
            continue
        if _differ(node, before, below):
            yield Difference(node.path, Kind.MODIFIED, node)
        if stat.S_ISDIR(node.stat.st_mode) and stat.S_ISDIR(before.st_mode):
            yield from _gone(below, tree, node.path)


def _gone(below: int, tree: int, path: bytes) -> Iterator[Difference]:
    for inner in upperdir.hidden(tree, below, path):
        yield Difference(inner, Kind.DELETED, None)


def _differ(node: trees.Node, before: os.stat_result, below: int) -> bool:
    one, kind = node.stat, stat.S_IFMT(node.stat.st_mode)
    facts = (one.st_mode, one.st_uid, one.st_gid, one.st_rdev)
    if facts != (before.st_mode, before.st_uid, before.st_gid, before.st_rdev):
        return True
    if kind == stat.S_IFDIR:
        return False
    if kind == stat.S_IFLNK:
        return os.readlink(node.name, dir_fd=node.folder) != _said(below, node.path)
    return (one.st_size, one.st_mtime_ns) != (before.st_size, before.st_mtime_ns)


def _said(root: int, path: bytes) -> bytes:
    up, _, name = path.rpartition(b"/")
    folder = openat2(root, up or b".", trees.FOLDER, 0, upperdir.WITHIN)
    try:
        return os.readlink(name, dir_fd=folder)
    finally:
        os.close(folder)
