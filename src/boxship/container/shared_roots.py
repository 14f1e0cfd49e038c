"""Roots of containers without a process, mounted once for all who read or write them.

Two overlays over the same writable folder are undefined behaviour, and a container may be started
while its files are still being read. So what is mounted first is kept in a mount namespace of its
own until the last has let go of it, and everybody gets a copy of that one mount.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass

from boxship.container.needs import Snapshots
from boxship.kernel import apart as namespace
from boxship.kernel import mounts, namespaces
from boxship.lib.threads import apart


@dataclass(slots=True)
class _Mounted:
    root: int  # attached in the mount namespace `space`
    space: int
    users: int = 0

    def close(self) -> None:
        os.close(self.root)
        os.close(self.space)


class SharedRoots:
    """Knows which containers' roots are open. Its methods wait for a disk, and may be called from
    several threads; for one container, from whoever has its turn."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._mounted: dict[str, _Mounted] = {}
        self._lock = threading.Lock()

    def take(self, container: str, undo: ExitStack) -> int:
        """Return the root of a container without a process, as a detached mount; `undo` lets go."""
        with self._lock:
            kept = self._mounted.get(container)
            if kept is None:
                kept = self._mounted[container] = self._mount(container)
            kept.users += 1
            undo.callback(self._let_go, container)
            copy = _copy(kept)
        undo.callback(os.close, copy)
        return copy

    def open(self, container: str) -> int:
        """Return the root of a container that is about to have a process."""
        with self._lock:
            kept = self._mounted.get(container)
            if kept is not None:
                return _copy(kept)
        return self._snapshots.open(container)

    def _mount(self, container: str) -> _Mounted:
        root = self._snapshots.open(container)
        try:
            return _Mounted(root, apart("root", lambda: _keep(root)))
        except BaseException:
            os.close(root)
            raise

    def _let_go(self, container: str) -> None:
        with self._lock:
            kept = self._mounted[container]
            kept.users -= 1
            if kept.users == 0:
                del self._mounted[container]
                kept.close()


def _keep(root: int) -> int:
    """Make a detached mount all that there is in a new mount namespace; return that."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    space = namespaces.open_namespace("thread-self", "mount")
    try:
        mounts.set_propagation("/", mounts.MS_PRIVATE)
        namespace.enter(root)
    except BaseException:
        os.close(space)
        raise
    return space


def _copy(kept: _Mounted) -> int:
    def visit() -> int:
        namespaces.unshare(namespaces.CLONE_FS)
        namespaces.setns(kept.space, namespaces.CLONE_NEWNS)
        return mounts.open_tree(folder=kept.root)

    return apart("root", visit)
