"""Copying a tree into a volume: nothing is followed, on either side.

Source and target may be in the hands of running containers. Both are walked by folder descriptors
that were opened without following links, so that a name swapped for a link leads nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from boxship.kernel import paths

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
HERE: Final = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS | paths.RESOLVE_NO_MAGICLINKS
CHUNK: Final = 1 << 24
UNCOPIED: Final = ("trusted.overlay.", "user.overlay.")  # the layer's own bookkeeping


@dataclass(slots=True)
class Copy:
    """One copy in the making."""

    target: int  # the folder that everything goes beneath
    linked: dict[tuple[int, int], bytes] = field(default_factory=dict)


def copy_tree(source: int, target: int) -> None:
    """Copy what is in the folder `source` into the folder `target`, which is empty, and make
    the target's owner, mode, attributes and times those of the source.

    Owners, modes, attributes, times, hard links, holes, devices and FIFOs come along.
    """
    copy = Copy(target)
    _copy_folder(copy, source, target, b"")
    _settle(source, target, os.fstat(source))


def is_empty(folder: int) -> bool:
    """Tell whether a folder has no entries."""
    with os.scandir(folder) as entries:
        return next(entries, None) is None


def _copy_folder(copy: Copy, source: int, target: int, path: bytes) -> None:
    for text in os.listdir(source):
        name = os.fsencode(text)
        try:
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
        except FileNotFoundError:
            continue  # it has just gone
        _copy_entry(copy, source, target, name, status, path + b"/" + name)


def _copy_entry(
    copy: Copy, source: int, target: int, name: bytes, status: os.stat_result, path: bytes
) -> None:
    key = status.st_dev, status.st_ino
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(name, 0o700, dir_fd=target)
        with _opened(name, FOLDER, source) as inner, _opened(name, FOLDER, target) as made:
            _copy_folder(copy, inner, made, path)
            _settle(inner, made, os.fstat(inner))
        return
    if status.st_nlink > 1 and key in copy.linked:
        _link(copy, copy.linked[key], target, name)
        return
    copy.linked[key] = path
    match stat.S_IFMT(status.st_mode):
        case stat.S_IFREG:
            _copy_file(source, target, name)
        case stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
            _copy_link_attributes(source, target, name)
            _copy_times(target, name, status)
        case _:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
            os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
            with _opened(name, os.O_PATH | os.O_NOFOLLOW, target) as made:
                os.chmod(f"/proc/self/fd/{made}", stat.S_IMODE(status.st_mode))
            _copy_times(target, name, status)


def _copy_file(source: int, target: int, name: bytes) -> None:
    reading = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    writing = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with _opened(name, reading, source) as old:
        status = os.fstat(old)
        if not stat.S_ISREG(status.st_mode):
            return  # swapped for something else meanwhile
        with _opened(name, writing, target, 0o600) as new:
            _copy_data(old, new, status.st_size)
            _settle(old, new, status)


def _copy_data(old: int, new: int, size: int) -> None:
    """Copy the parts that hold data; holes stay holes."""
    os.ftruncate(new, size)
    at = 0
    while at < size:
        try:
            at = os.lseek(old, at, os.SEEK_DATA)
            end = os.lseek(old, at, os.SEEK_HOLE)
        except OSError as nothing:
            if nothing.errno == errno.ENXIO:  # only a hole is left
                return
            end = size
        at = _copy_range(old, new, at, min(end, size))


def _copy_range(old: int, new: int, at: int, end: int) -> int:
    while at < end:
        try:
            done = os.copy_file_range(old, new, min(end - at, CHUNK), at, at)
        except OSError as refused:
            if refused.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            done = os.pwrite(new, os.pread(old, min(end - at, 1 << 20), at), at)
        if not done:
            return end  # the file has become shorter
        at += done
    return at


def _settle(old: int, new: int, status: os.stat_result) -> None:
    """Give an open file or folder its owner, then its mode, attributes and times."""
    os.fchown(new, status.st_uid, status.st_gid)
    os.fchmod(new, stat.S_IMODE(status.st_mode))  # chown has cleared the set-id bits
    for name in os.listxattr(old):
        if not name.startswith(UNCOPIED):
            with contextlib.suppress(OSError):  # the filesystem below may not know its like
                os.setxattr(new, name, os.getxattr(old, name))
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_link_attributes(source: int, target: int, name: bytes) -> None:
    ours = f"/proc/self/fd/{source}/".encode() + name
    theirs = f"/proc/self/fd/{target}/".encode() + name
    for attribute in os.listxattr(ours, follow_symlinks=False):
        if not attribute.startswith(UNCOPIED):
            value = os.getxattr(ours, attribute, follow_symlinks=False)
            with contextlib.suppress(OSError):
                os.setxattr(theirs, attribute, value, follow_symlinks=False)


def _copy_times(target: int, name: bytes, status: os.stat_result) -> None:
    times = status.st_atime_ns, status.st_mtime_ns
    os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)


def _link(copy: Copy, path: bytes, target: int, name: bytes) -> None:
    found = paths.openat2(copy.target, path.lstrip(b"/"), os.O_PATH | os.O_NOFOLLOW, 0, HERE)
    try:
        os.link(f"/proc/self/fd/{found}", name, dst_dir_fd=target, follow_symlinks=True)
    finally:
        os.close(found)


@contextlib.contextmanager
def _opened(name: bytes, flags: int, folder: int, mode: int = 0) -> Iterator[int]:
    descriptor = os.open(name, flags | os.O_CLOEXEC, mode, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
