"""Whole trees of files: removed, measured and copied beneath a folder descriptor.

A container may have made a tree of any depth, so nothing here recurses with the tree, and
descriptors open at one time are bounded.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

DEPTH: Final = 64
LARGE: Final = 1 << 20
MOST_LOOKED_AT: Final = 1024  # files of a folder whose status is kept until it is their turn
FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Usage:
    """What a tree takes: the bytes of its files, each counted once, and how many inodes."""

    size: int = 0
    inodes: int = 0


def remove(parent: int, name: str | bytes) -> None:
    """Remove `name` in `parent` and all beneath it; nothing is done where there is nothing.

    A folder that lies too deep is first moved up, next to `name`, and goes afterwards.
    """
    moved: list[bytes] = []
    _remove(parent, os.fsencode(name), parent, moved, 0)
    while moved:
        _remove(parent, moved.pop(), parent, moved, 0)


def _remove(folder: int, name: bytes, top: int, moved: list[bytes], depth: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
    else:
        return
    if depth == DEPTH:
        aside = b".boxship-removed-%d-%d" % (len(moved), os.getpid())
        beside = 0
        while True:
            with suppress(FileExistsError, OSError):
                os.rename(name, aside + b"-%d" % beside, src_dir_fd=folder, dst_dir_fd=top)
                moved.append(aside + b"-%d" % beside)
                return
            beside += 1
            if beside > 1000:
                raise OSError(errno.ELOOP, os.fsdecode(name))
    inside = os.open(name, FOLDER, dir_fd=folder)
    try:
        with os.scandir(inside) as entries:
            names = [(os.fsencode(e.name), e.is_dir(follow_symlinks=False)) for e in entries]
        for entry, is_folder in names:
            if is_folder:
                _remove(inside, entry, top, moved, depth + 1)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(entry, dir_fd=inside)
    finally:
        os.close(inside)
    os.rmdir(name, dir_fd=folder)


def remove_path(path: str) -> None:
    """Remove the tree at a path of our own."""
    folder, name = os.path.split(path)
    try:
        parent = os.open(folder, FOLDER)
    except FileNotFoundError:
        return
    try:
        remove(parent, name)
    finally:
        os.close(parent)


class Sized(Protocol):
    """What is known of a file."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_size(self) -> int: ...


@dataclass(slots=True)
class Node:
    """One file of a tree: where it is, and what it is."""

    path: bytes  # from the root, without a leading slash; empty for the root itself
    folder: int  # the folder that holds it: valid until the next node is asked for
    name: bytes
    stat: os.stat_result


@dataclass(slots=True)
class _Level:
    """A folder that a walk is in: which of its names are still to be seen, last first."""

    up: int  # how much of its path is that of the folder above
    folder: int
    names: list[bytes] = field(default_factory=list)
    seen: dict[bytes, os.stat_result] = field(default_factory=dict)  # of some of them
    identity: tuple[int, int] = (0, 0)  # of one that is closed for the time being

    def read(self, *, large_first: bool) -> None:
        """Take the names."""
        self.names = _names(self.folder)
        if large_first:
            self.seen = _large_last(self.folder, self.names)


def is_large(status: Sized) -> bool:
    """Whether a file comes before the others of its folder in layers."""
    return status.st_size >= LARGE and stat.S_ISREG(status.st_mode)


def walk(
    root: int, skipped: Set[int] = frozenset(), *, large_first: bool = False
) -> Iterator[Node]:
    """Yield all files beneath `root`, folders before what they hold, in byte order.

    With `large_first` the large files of each folder come before the rest of it, as in layers.
    Of a tree of any depth some folders are open at a time: those near the root, and those last
    entered. The others are found again from below, if they are still above. One that vanishes
    meanwhile is passed over. Of the filesystems whose devices are `skipped`, the top folder is
    seen and nothing in it.
    """
    if skipped and os.fstat(root).st_dev in skipped:
        return
    path = b""
    stack = [_Level(0, os.dup(root))]
    try:
        stack[0].read(large_first=large_first)
        while stack:
            level = stack[-1]
            if not level.names:
                path = _leave(stack, path)
                continue
            name, folder = level.names.pop(), level.folder
            try:
                status = level.seen.pop(name, None)
                if status is None:
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            inner = path + b"/" + name if path else name
            yield Node(inner, folder, name, status)
            if stat.S_ISDIR(status.st_mode) and status.st_dev not in skipped:
                try:
                    opened = os.open(name, FOLDER, dir_fd=folder)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                stack.append(_Level(len(path), opened))
                stack[-1].read(large_first=large_first)
                path = inner
                if len(stack) > 2 * DEPTH:
                    _close(stack[-DEPTH])
    finally:
        for level in stack:
            if level.folder >= 0:
                os.close(level.folder)


def _close(level: _Level) -> None:
    status = os.fstat(level.folder)
    level.identity = status.st_dev, status.st_ino
    os.close(level.folder)
    level.folder = -1


def _leave(stack: list[_Level], path: bytes) -> bytes:
    """Go up from a folder that has been seen; return the path of the one come to."""
    left = stack.pop()
    path = path[: left.up]
    try:
        if stack and stack[-1].folder < 0:
            above = os.open(b"..", FOLDER, dir_fd=left.folder)
            status = os.fstat(above)
            if (status.st_dev, status.st_ino) == stack[-1].identity:
                stack[-1].folder = above
            else:
                os.close(above)
    except FileNotFoundError:
        pass
    finally:
        os.close(left.folder)
    while stack and stack[-1].folder < 0:  # the way up leads elsewhere by now
        path = path[: stack.pop().up]
    return path


def _names(folder: int) -> list[bytes]:
    """The names in a folder, last first."""
    return sorted(map(os.fsencode, os.listdir(folder)), reverse=True)


def _large_last(folder: int, names: list[bytes]) -> dict[bytes, os.stat_result]:
    """Put what is large at the end of names, the last of which comes next; say what was seen."""
    seen: dict[bytes, os.stat_result] = {}
    large: list[bytes] = []
    for name in names:
        with suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if is_large(status):
                large.append(name)
            if len(seen) < MOST_LOOKED_AT:
                seen[name] = status
    if large:
        moved = set(large)
        names[:] = [name for name in names if name not in moved] + large
    return seen


def usage(root: int) -> Usage:
    """Measure the tree beneath `root`."""
    measured = Usage()
    seen: set[tuple[int, int]] = set()
    for node in walk(root):
        status = node.stat
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
        measured.inodes += 1
        if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
            measured.size += status.st_size
    return measured


def copy(source: int, target: int, *, linked: bool = False) -> None:
    """Fill the empty folder `target` with a copy of `source`: owners, times, links and all.

    A `linked` copy has all but the folders in common with its source, overlay marks too.
    """
    links: dict[tuple[int, int], bytes] = {}
    folders: list[tuple[bytes, os.stat_result]] = []
    copy_attributes(source, target, overlay=linked)
    here, opened = b"", os.dup(target)
    try:
        for node in walk(source):
            up, _, name = node.path.rpartition(b"/")
            if up != here:
                os.close(opened)
                opened = _descend(target, up)
                here = up
            status = node.stat
            identity = (status.st_dev, status.st_ino)
            if stat.S_ISDIR(status.st_mode):
                os.mkdir(name, 0o700, dir_fd=opened)
                folders.append((node.path, status))
            elif linked:
                os.link(
                    node.name,
                    name,
                    src_dir_fd=node.folder,
                    dst_dir_fd=opened,
                    follow_symlinks=False,
                )
                continue
            elif status.st_nlink > 1 and identity in links:
                os.link(
                    links[identity],
                    node.path,
                    src_dir_fd=target,
                    dst_dir_fd=target,
                    follow_symlinks=False,
                )
                continue
            else:
                if status.st_nlink > 1:
                    links[identity] = node.path
                copy_node(node, opened)
                continue
            inner, made = (
                os.open(n, FOLDER, dir_fd=f) for n, f in ((node.name, node.folder), (name, opened))
            )
            try:
                copy_attributes(inner, made, overlay=linked)
            finally:
                os.close(inner)
                os.close(made)
    finally:
        os.close(opened)
    for path, status in reversed(folders):
        folder = _descend(target, path)
        os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.close(folder)
    status = os.fstat(source)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _descend(root: int, path: bytes) -> int:
    """Open a folder of a tree that only we write to."""
    opened = os.dup(root)
    words = path.split(b"/") if path else []
    while words:
        part, words = words[:100], words[100:]
        inner = os.open(b"/".join(part), FOLDER, dir_fd=opened)
        os.close(opened)
        opened = inner
    return opened


def copy_node(node: Node, folder: int) -> None:
    """Copy one file, link or device into `folder`, under its own name."""
    status, name, kind = node.stat, node.name, stat.S_IFMT(node.stat.st_mode)
    if kind == stat.S_IFREG:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=node.folder)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            target = os.open(name, flags, 0o600, dir_fd=folder)
            try:
                _copy_content(source, target, status.st_size)
                copy_attributes(source, target)
                os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
            finally:
                os.close(target)
        finally:
            os.close(source)
        return
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=node.folder), name, dir_fd=folder)
    elif kind == stat.S_IFSOCK:
        return
    else:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=folder)
    os.chown(name, status.st_uid, status.st_gid, dir_fd=folder, follow_symlinks=False)
    if kind != stat.S_IFLNK:
        set_mode(folder, name, stat.S_IMODE(status.st_mode))
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)


def set_mode(folder: int, name: bytes, mode: int) -> None:
    """Change the mode of what `name` itself is; a link put there meanwhile is not followed."""
    node = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if not stat.S_ISLNK(os.fstat(node).st_mode):
            os.chmod(f"/proc/self/fd/{node}", mode)
    finally:
        os.close(node)


def copy_attributes(source: int, target: int, *, overlay: bool = False) -> None:
    """Give one open file the owner, mode and extended attributes of another.

    What an overlay keeps in attributes of its own is copied only where that is said.
    """
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        if overlay or not name.startswith("trusted.overlay."):
            with suppress(PermissionError):
                os.setxattr(target, name, os.getxattr(source, name))


def _copy_content(source: int, target: int, size: int) -> None:
    """Copy a file's bytes, sharing blocks where the filesystem can."""
    left = size
    while left > 0:
        try:
            done = os.copy_file_range(source, target, min(left, 1 << 30))
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            while part := os.read(source, 1 << 20):
                os.write(target, part)
            return
        if not done:
            return
        left -= done
