"""Reading an overlay's upper folder: what it adds, changes and hides."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from boxship.kernel.paths import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from boxship.snapshot import trees
from boxship.snapshot.driver import Difference, Kind
from boxship.snapshot.extract import OPAQUE_ATTRIBUTE, is_whiteout

WITHIN: Final = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS


def differences(upper: int, below: int) -> Iterator[Difference]:
    """Yield what `upper` changes of what is `below`, folders before what they hold."""
    absent = b"\0"  # the last folder that is not below: nothing in it is, either
    for node in trees.walk(upper, large_first=True):
        lower = None if node.path.startswith(absent) else status(below, node.path)
        if is_whiteout(node.stat):
            if lower is not None:
                yield Difference(node.path, Kind.DELETED, None)
            continue
        kind = Kind.ADDED if lower is None else Kind.MODIFIED
        folder = stat.S_ISDIR(node.stat.st_mode)
        if folder and (lower is None or not stat.S_ISDIR(lower.st_mode)):
            absent = absent if node.path.startswith(absent) else node.path + b"/"
        opaque = folder and _is_opaque(node)
        if lower is not None and folder and stat.S_ISDIR(lower.st_mode):
            yield Difference(
                node.path, kind if opaque or _differ(node.stat, lower) else None, node, opaque
            )
        else:
            yield Difference(node.path, kind, node, opaque)
        if opaque:
            for path in hidden(upper, below, node.path):
                yield Difference(path, Kind.DELETED, None, opaque=True)


def hidden(upper: int, below: int, path: bytes) -> Iterator[bytes]:
    """Yield what a folder had `below` and has not in `upper`."""
    try:
        folder = openat2(below, path or b".", trees.FOLDER, 0, WITHIN)
    except OSError:
        return
    try:
        names = sorted(map(os.fsencode, os.listdir(folder)))
    finally:
        os.close(folder)
    for name in names:
        inner = path + b"/" + name if path else name
        if status(upper, inner) is None:
            yield inner


def status(root: int, path: bytes) -> os.stat_result | None:
    """Return what is at `path`, without following links anywhere in it."""
    try:
        node = openat2(root, path, os.O_PATH | os.O_NOFOLLOW, 0, WITHIN)
    except OSError:
        return None
    try:
        return os.fstat(node)
    finally:
        os.close(node)


def _is_opaque(node: trees.Node) -> bool:
    with suppress(OSError):
        path = f"/proc/self/fd/{node.folder}/".encode() + node.name
        return os.getxattr(path, OPAQUE_ATTRIBUTE, follow_symlinks=False) == b"y"
    return False


def _differ(one: os.stat_result, two: os.stat_result) -> bool:
    """Whether a folder itself was changed, and not only what it holds."""
    return (one.st_mode, one.st_uid, one.st_gid, one.st_mtime_ns) != (
        two.st_mode,
        two.st_uid,
        two.st_gid,
        two.st_mtime_ns,
    )
