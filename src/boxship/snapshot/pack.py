"""Trees become tar streams: layers of what a snapshot changes, archives of roots or of parts.

A tree may change while it is read: each name is looked up in its folder's descriptor and never
followed, and what is no longer what it was is passed over. A file that changes keeps the size its
header said.

Memory is constant, but for the files with several names whose other names have not come yet.
Times are whole seconds, as in Docker's layers: anything finer would take two more blocks for each
file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from boxship.lib.filepart import FilePart
from boxship.snapshot.driver import Difference
from boxship.snapshot.extract import KEPT_ATTRIBUTES, OPAQUE, OVERLAY_OWN, WHITEOUT
from boxship.snapshot.trees import Node, is_large, walk
from boxship.wire import tar, tarwriter

CHUNK: Final = 1 << 18
SMALL: Final = 1 << 16
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
REPLACED: Final = frozenset((errno.ELOOP, errno.ENXIO, errno.ENOTDIR, errno.EINVAL, errno.ENODEV))


class Packer:
    """Files to tar entries, for one archive."""

    def __init__(self, latest: int | None = None) -> None:
        """No time is after `latest`, in nanoseconds."""
        self._names: dict[tuple[int, int], tuple[bytes, int]] = {}
        self._latest = latest

    def pack(self, node: Node, name: bytes | None = None) -> Iterator[bytes | FilePart]:
        """Yield one file's entry with its content; sockets have none.

        What is large is yielded as a file, and its padding is left to who takes it.
        """
        status = node.stat
        kind = stat.S_IFMT(status.st_mode)
        entry = tar.Entry(
            node.path if name is None else name,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            mtime=self._time(status.st_mtime_ns) // tar.NANOSECOND * tar.NANOSECOND,
        )
        if kind == stat.S_IFSOCK:
            return
        if status.st_nlink > 1 and kind != stat.S_IFDIR and self._seen(status, entry):
            yield tarwriter.header(entry)
            return
        if kind == stat.S_IFREG:
            yield from _file(node, entry)
            return
        if kind == stat.S_IFDIR:
            entry.type = tar.FOLDER
            entry.name += b"/"
            entry.xattrs = _attributes(f"/proc/self/fd/{node.folder}/".encode() + node.name)
        elif kind == stat.S_IFLNK:
            entry.type = tar.SYMLINK
            with _still_there():
                entry.link = os.readlink(node.name, dir_fd=node.folder)
        elif kind == stat.S_IFIFO:
            entry.type = tar.FIFO
        else:
            entry.type = tar.CHARACTER_DEVICE if kind == stat.S_IFCHR else tar.BLOCK_DEVICE
            entry.major, entry.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
        yield tarwriter.header(entry)

    def _time(self, mtime: int) -> int:
        return mtime if self._latest is None else min(mtime, self._latest)

    def _seen(self, status: os.stat_result, entry: tar.Entry) -> bool:
        """Make it a link where the same file came before; forget a file that has come whole."""
        identity = (status.st_dev, status.st_ino)
        known = self._names.get(identity)
        if known is None:
            self._names[identity] = (entry.name, status.st_nlink - 1)
            return False
        first, left = known
        if left > 1:
            self._names[identity] = (first, left - 1)
        else:
            del self._names[identity]
        entry.type, entry.link = tar.HARD_LINK, first
        return True


def root(folder: int, *, latest: int | None = None) -> Iterator[bytes]:
    """Yield the archive of all that is beneath `folder`."""
    packer = Packer(latest)
    for node in walk(folder):
        with suppress(FileNotFoundError):
            yield from _read(packer.pack(node))
    yield tarwriter.END


def subtree(folder: int, name: bytes, skipped: Set[int] = frozenset()) -> Iterator[bytes]:
    """Yield the archive of a folder and all beneath it, the folder itself called `name`."""
    packer = Packer()
    top = os.open(".", READ | os.O_DIRECTORY, dir_fd=folder)
    try:
        with suppress(FileNotFoundError):
            yield from _read(packer.pack(Node(b"", top, b".", os.fstat(top)), name.rstrip(b"/")))
        before = name.rstrip(b"/") + b"/"
        for node in walk(top, skipped):
            with suppress(FileNotFoundError):
                yield from _read(packer.pack(node, before + node.path))
        yield tarwriter.END
    finally:
        os.close(top)


def single(folder: int, name: bytes) -> Iterator[bytes]:
    """Yield the archive of one file, link or device."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    with suppress(FileNotFoundError):
        yield from _read(Packer().pack(Node(name, folder, name, status)))
    yield tarwriter.END


def layer(differences: Iterable[Difference], *, latest: int | None = None) -> Iterator[bytes]:
    """Yield the layer that makes these differences; no time is after `latest` nanoseconds."""
    return _read(_entries(differences, latest))


def parts(differences: Iterable[Difference]) -> Iterator[bytes | FilePart]:
    """Yield the same of a layer that nobody changes; what is large is files.

    Each is open until the next part is asked for.
    """
    for part in _entries(differences, None):
        yield part
        if isinstance(part, FilePart):
            yield tarwriter.padding(part.size)


def _read(found: Iterable[bytes | FilePart]) -> Iterator[bytes]:
    """Yield what was packed as bytes alone."""
    for part in found:
        if isinstance(part, FilePart):
            file = part.file
            yield from tarwriter.body(iter(partial(os.read, file, CHUNK), b""), part.size)
        else:
            yield part


def _entries(differences: Iterable[Difference], latest: int | None) -> Iterator[bytes | FilePart]:
    packer = Packer(latest)
    for difference in differences:
        if difference.node is None:
            if difference.opaque:
                continue  # its folder's mark hides it
            up, slash, name = difference.path.rpartition(b"/")
            yield tarwriter.header(tar.Entry(up + slash + WHITEOUT + name))
            continue
        with suppress(FileNotFoundError):
            yield from packer.pack(difference.node, difference.path)
        if difference.opaque:
            yield tarwriter.header(tar.Entry(difference.path + b"/" + OPAQUE))
    yield tarwriter.END


def _file(node: Node, entry: tar.Entry) -> Iterator[bytes | FilePart]:
    with _still_there():
        file = os.open(node.name, READ, dir_fd=node.folder)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return  # it was replaced since it was looked at
        entry.size = status.st_size
        entry.xattrs = _attributes(file)
        if 0 < status.st_size <= SMALL:
            data = os.read(file, status.st_size).ljust(status.st_size, b"\0")
            yield b"".join((tarwriter.header(entry), data, tarwriter.padding(len(data))))
            return
        yield tarwriter.header(entry)
        if is_large(status):
            yield FilePart(file, status.st_size)
        elif status.st_size:
            pieces = iter(lambda: os.read(file, CHUNK), b"")
            yield from tarwriter.body(pieces, status.st_size)
    finally:
        os.close(file)


@contextmanager
def _still_there() -> Iterator[None]:
    """Take a name that now means something else for one that is gone."""
    try:
        yield
    except OSError as error:
        if error.errno in REPLACED:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
        raise


def _attributes(file: int | bytes) -> dict[bytes, bytes]:
    """The extended attributes that a layer keeps; a path's last name is not followed."""
    found: dict[bytes, bytes] = {}
    follow = isinstance(file, int)
    with suppress(OSError):
        for text in os.listxattr(file, follow_symlinks=follow):
            name = os.fsencode(text)
            if name.startswith(KEPT_ATTRIBUTES) and not name.startswith(OVERLAY_OWN):
                with suppress(OSError):
                    found[name] = os.getxattr(file, name, follow_symlinks=follow)
    return found
