"""Trees become tar streams: layers of what a snapshot changes, archives of whole roots.

Memory is constant, but for the files with several names whose other names have not come yet.
A file that changes while it is read keeps the size its header said. Times are whole seconds, as in
Docker's layers: anything finer would take two more blocks for each file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from boxship.snapshot.driver import Difference
from boxship.snapshot.extract import KEPT_ATTRIBUTES, OPAQUE, OVERLAY_OWN, WHITEOUT
from boxship.snapshot.trees import Node, walk
from boxship.wire import tar, tarwriter

CHUNK: Final = 1 << 18
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Packer:
    """Files to tar entries, for one archive."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, int], tuple[bytes, int]] = {}

    def pack(self, node: Node, name: bytes | None = None) -> Iterator[bytes]:
        """Yield one file's entry with its content; sockets have none."""
        status = node.stat
        kind = stat.S_IFMT(status.st_mode)
        entry = tar.Entry(
            node.path if name is None else name,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            mtime=status.st_mtime_ns // tar.NANOSECOND * tar.NANOSECOND,
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
            entry.link = os.readlink(node.name, dir_fd=node.folder)
        elif kind == stat.S_IFIFO:
            entry.type = tar.FIFO
        else:
            entry.type = tar.CHARACTER_DEVICE if kind == stat.S_IFCHR else tar.BLOCK_DEVICE
            entry.major, entry.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
        yield tarwriter.header(entry)

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


def root(folder: int) -> Iterator[bytes]:
    """Yield the archive of all that is beneath `folder`."""
    packer = Packer()
    for node in walk(folder):
        with suppress(FileNotFoundError):
            yield from packer.pack(node)
    yield tarwriter.END


def layer(differences: Iterable[Difference]) -> Iterator[bytes]:
    """Yield the layer that makes these differences."""
    packer = Packer()
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


def _file(node: Node, entry: tar.Entry) -> Iterator[bytes]:
    file = os.open(node.name, READ, dir_fd=node.folder)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return  # it was replaced since it was looked at
        entry.size = status.st_size
        entry.xattrs = _attributes(file)
        yield tarwriter.header(entry)
        if status.st_size:
            pieces = iter(lambda: os.read(file, CHUNK), b"")
            yield from tarwriter.body(pieces, status.st_size)
    finally:
        os.close(file)


def _attributes(file: int | bytes) -> dict[bytes, bytes]:
    """The extended attributes that a layer keeps."""
    found: dict[bytes, bytes] = {}
    with suppress(OSError):
        for text in os.listxattr(file, follow_symlinks=True):
            name = os.fsencode(text)
            if name.startswith(KEPT_ATTRIBUTES) and not name.startswith(OVERLAY_OWN):
                with suppress(OSError):
                    found[name] = os.getxattr(file, name)
    return found
