"""Mounts made for one process: parts of filesystems, and files in memory.

All are descriptors of detached mounts; paths inside are resolved beneath a descriptor, so that
whatever else runs meanwhile and swaps names leads nobody outside.
"""

from __future__ import annotations

import errno
import os

from boxship.build.errors import NoSuchFile
from boxship.errors import InvalidRequest
from boxship.kernel import mounts, paths
from boxship.kernel.apart import OWN, leave_host
from boxship.lib.threads import apart


def part(tree: int, path: str, place: str) -> int:
    """Return what is at `path` of a detached mount, as one of its own.

    `place` is an empty folder, for kernels that copy only from what is attached somewhere.
    """
    if not path.strip("/"):
        return os.dup(tree)
    found = _found(tree, path)
    try:
        return mounts.open_tree(folder=found)
    except OSError as failure:
        if failure.errno != errno.EINVAL:
            raise
    finally:
        os.close(found)
    return apart("mount", lambda: _part_attached(tree, path, place))  # it enters namespaces


def part_of_folder(folder: int, path: str) -> int:
    """Return what is at `path` of a folder of ours, as a mount."""
    found = _found(folder, path) if path.strip("/") else os.dup(folder)
    try:
        return mounts.open_tree(folder=found)
    finally:
        os.close(found)


def _found(root: int, path: str) -> int:
    try:
        return paths.open_in_root(root, path, os.O_PATH)
    except FileNotFoundError:
        raise NoSuchFile(path) from None
    except OSError as failure:
        reason = os.strerror(failure.errno or 0).lower()
        raise InvalidRequest(f"cannot mount {path!r}: {reason}") from None


def _part_attached(tree: int, path: str, place: str) -> int:
    leave_host(place, *OWN)
    mounts.move_mount(tree, place)
    found = _found(tree, path)
    try:
        return mounts.open_tree(folder=found)
    finally:
        os.close(found)


def secret_file(data: bytes, uid: int, gid: int, mode: int, place: str) -> int:
    """Return a mount that is one file, which is in memory and nowhere else."""
    pages = (len(data) + 4095) // 4096 + 2
    tree = mounts.new_filesystem("tmpfs", {"mode": "0755", "size": str(pages * 4096)})
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file = os.open("secret", flags, 0o600, dir_fd=tree)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
            os.fchown(file, uid, gid)
            os.fchmod(file, mode)
        finally:
            os.close(file)
        return part(tree, "secret", place)
    finally:
        os.close(tree)


def readonly(tree: int) -> None:
    """Let nobody write through a mount."""
    mounts.mount_setattr(tree, add=mounts.MOUNT_ATTR_RDONLY, recursive=True)
