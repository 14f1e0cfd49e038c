"""Threads with a mount namespace of their own that holds nothing of the host's mounts.

A new mount namespace is a copy of all mounts. What the host unmounts meanwhile would go on in the
copy where the host's mounts are private, and a device would be busy that nobody uses. So the copy
is reduced, at once, to what the thread has to find by its path.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Final

from boxship.kernel import mounts, namespaces

OWN: Final = ("/proc", os.__file__, __file__, sys.prefix)  # what any of our threads may look for
NO_ROOT_TO_CHANGE: Final = (errno.EINVAL, errno.EBUSY)  # a chroot, or the kernel's first root


def leave_host(*kept: str) -> None:
    """Take this thread, which must end afterwards, to a mount namespace of its own.

    It still sees the filesystem at "/", and those on which the paths `kept` lie, without what is
    mounted in them. What is attached there is seen by nobody else. In a chroot, whose root cannot
    be changed, it sees a copy of everything.
    """
    points = _mount_points()
    wanted = dict.fromkeys(_point_of(os.path.realpath(path), points) for path in kept)
    with ExitStack() as undo:
        trees = {}
        for point in sorted(wanted, key=len):
            if point != "/":
                trees[point] = mounts.open_tree(point)
                undo.callback(os.close, trees[point])
        namespaces.unshare(namespaces.CLONE_NEWNS)
        mounts.set_propagation("/", mounts.MS_PRIVATE)
        root = mounts.open_tree("/")
        undo.callback(os.close, root)
        if enter(root):
            for point, tree in trees.items():
                mounts.move_mount(tree, point)


def enter(root: int) -> bool:
    """Make a detached mount the root of this thread's mount namespace, and let go of the rest.

    False, with nothing changed but where the mount is, where that cannot be done.
    """
    before = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mounts.move_mount(root, "/")
        os.fchdir(root)
        try:
            mounts.pivot_root(".", ".")
        except OSError as failure:
            if failure.errno not in NO_ROOT_TO_CHANGE:
                raise
            os.fchdir(before)
            return False
        mounts.umount(".", mounts.MNT_DETACH)
        os.chdir("/")
        return True
    finally:
        os.close(before)


def _mount_points() -> frozenset[str]:
    with open("/proc/thread-self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return frozenset(_plain(line.split(" ", 5)[4]) for line in file)


def _plain(text: str) -> str:
    """Return a path with the four letters that the kernel escapes as they are."""
    if "\\" not in text:
        return text
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, letter)
    return text


def _point_of(path: str, points: Iterable[str]) -> str:
    """Return the mount point on which a path lies, going by its words."""
    around: Sequence[str] = [
        point for point in points if path == point or path.startswith(f"{point.rstrip('/')}/")
    ]
    return max(around, key=len, default="/")
