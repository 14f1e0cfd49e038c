"""The files of an archive as an index of what is in it, without a file made for any of them.

    Node     one file: what stat() would say of it, and where in the archive its bytes are
    Tree     the nodes, found by path as the kernel would find them beneath a root folder
    Content  where the bytes are
    Spool    the archive itself, unpacked of compression, in a file that has no name

A folder that a client has sent has such an index, too: see `kept`. Large files that a layer has
already are compared, not kept: see `known`.

Only plain archives have an index: files, folders and links, each name once, no attributes. What
else an archive may hold is left to the kernel, which knows all the rules: see `indexed`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import tempfile
import time
from _thread import start_new_thread
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import ClassVar, Final, Protocol

from boxship.content.assembly import Opened
from boxship.kernel.paths import MOST_LINKS
from boxship.lib.beside import Helper, gathered
from boxship.snapshot.extract import LARGEST_ID, LATEST, clean
from boxship.wire import tar

MOST_NODES: Final = 400_000
LONGEST_NAME: Final = 255
LONGEST_PATH: Final = 3500
SMALL: Final = 1 << 20
CHUNK: Final = 1 << 20
WAITED_FOR: Final = 16 << 20
GATHERED: Final = 1 << 17
AHEAD: Final = 64  # pieces of that size wait to be hashed, for each of two
MOST_LEFT_OUT: Final = 256  # known files that are open for one archive
UNNAMED: Final = frozenset((errno.EOPNOTSUPP, errno.EISDIR))  # where files must have a name
PLAIN: Final = frozenset((tar.FILE, tar.FOLDER, tar.SYMLINK))


class Node:
    """One file, with the names that `os.stat_result` has; `names` are a folder's files."""

    __slots__ = (
        "at",
        "digest",
        "link",
        "names",
        "st_gid",
        "st_mode",
        "st_mtime_ns",
        "st_size",
        "st_uid",
    )
    st_nlink: ClassVar[int] = 1
    st_dev: ClassVar[int] = 0
    st_ino: ClassVar[int] = 0
    st_rdev: ClassVar[int] = 0

    def __init__(self, mode: int, uid: int = 0, gid: int = 0, mtime: int = 0) -> None:
        self.st_mode = mode
        self.st_uid = uid
        self.st_gid = gid
        self.st_mtime_ns = mtime
        self.st_size = 0
        self.at = 0  # where its content begins in the spool
        self.digest = b""  # of its content
        self.link = b""
        self.names: dict[bytes, Node] | None = {} if stat.S_ISDIR(mode) else None

    @property
    def st_atime_ns(self) -> int:
        """Nobody has read it yet."""
        return self.st_mtime_ns


Status = os.stat_result | Node


class Content(Protocol):
    """Where the bytes of an index's files are."""

    def read(self, node: Node, limit: int = sys.maxsize) -> bytes:
        """Return a file's first bytes."""

    def copy(self, node: Node, target: int) -> None:
        """Append a file to an open one."""

    def pieces(self, node: Node) -> Iterator[bytes]:
        """Yield a file."""

    def part(self, node: Node) -> tuple[Opened, int]:
        """Return what has a file open, and where its bytes begin in that."""


class Known(Opened, Protocol):
    """A file that is here, and does not change while anybody has this object."""

    digest: bytes
    size: int

    def has(self, data: memoryview, at: int) -> bool:
        """Whether these are its bytes at a place."""


class KnownFiles(Protocol):
    """What files that arrive may be the same as."""

    def find(self, path: bytes, size: int) -> Known | None:
        """Open what a file at this path, that is so large, may be the same as."""


class Spool:
    """An archive in a file; it stays for as long as anybody has this object.

    Files that are known are left out of it: it has holes there.
    """

    def __init__(self, folder: str) -> None:
        self._arrived = 0
        self._unwanted = 0  # what lies before that need not be written
        self._known: dict[int, Known] = {}  # what is left out, by where it would begin
        self._writer: Helper | None = None
        try:
            self.file = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in UNNAMED:
                raise
            self.file, path = tempfile.mkstemp(dir=folder)
            os.unlink(path)

    def __del__(self) -> None:
        if (file := getattr(self, "file", -1)) >= 0:
            if os.fstat(file).st_size < WAITED_FOR or sys.is_finalizing():
                os.close(file)
            else:  # to free it takes the kernel a while; nobody waits for this thread to begin
                start_new_thread(os.close, (file,))

    def taking(self, pieces: Iterable[bytes], helper: Helper) -> Iterator[bytes]:
        """Pass pieces on, and keep them; they are written while they are looked at."""
        self._writer = helper
        for piece in gathered(pieces, GATHERED):
            at = self._arrived
            self._arrived += len(piece)
            if self._arrived > self._unwanted:
                helper.do(partial(self._write, piece, at))
            yield piece

    def _write(self, piece: bytes | memoryview, at: int) -> None:
        view = memoryview(piece)
        while view:
            done = os.pwrite(self.file, view, at)
            view = view[done:]
            at += done

    def compare(
        self, node: Node, known: Known, parts: Iterator[memoryview]
    ) -> tuple[int, memoryview | None]:
        """Leave a file out for as long as it is what is known.

        Return how much of it is the same, and the first part that is not.
        """
        self._unwanted = node.at + node.st_size
        same = 0
        for part in parts:
            if not known.has(part, same):
                self._unwanted = 0
                assert self._writer is not None
                self._writer.do(partial(self._restore, known, node.at, same))
                self._writer.do(partial(self._write, part, node.at + same))
                return same, part
            same += len(part)
        self._known[node.at] = known
        return same, None

    def _restore(self, known: Known, at: int, size: int) -> None:
        os.lseek(self.file, at, os.SEEK_SET)
        _send(self.file, known.file, 0, size)

    @property
    def has_room(self) -> bool:
        """Whether one more file may be left out."""
        return len(self._known) < MOST_LEFT_OUT

    def _where(self, node: Node) -> tuple[int, int]:
        known = self._known.get(node.at)
        return (self.file, node.at) if known is None else (known.file, 0)

    def read(self, node: Node, limit: int = sys.maxsize) -> bytes:
        """Return a file's first bytes."""
        file, at = self._where(node)
        return os.pread(file, min(node.st_size, limit), at)

    def copy(self, node: Node, target: int) -> None:
        """Append a file to an open one."""
        _send(target, *self._where(node), node.st_size)

    def pieces(self, node: Node) -> Iterator[bytes]:
        """Yield a file."""
        return _pieces(*self._where(node), node.st_size)

    def part(self, node: Node) -> tuple[Opened, int]:
        """Return what has a file open: the archive, or what is known."""
        known = self._known.get(node.at)
        return (self, node.at) if known is None else (known, 0)

    def whole(self) -> Iterator[bytes]:
        """Yield the archive."""
        end = 0
        for at, known in sorted(self._known.items(), key=itemgetter(0)):
            yield from _pieces(self.file, end, at - end)
            yield from _pieces(known.file, 0, known.size)
            end = at + known.size
        yield from _pieces(self.file, end, sys.maxsize)


def _send(target: int, file: int, at: int, size: int) -> None:
    """Append a part of a file to another."""
    while size:
        done = os.sendfile(target, file, at, min(size, 1 << 30))
        if not done:
            raise OSError(errno.EIO, "a file ends too early")
        at += done
        size -= done


def _pieces(file: int, at: int, size: int) -> Iterator[bytes]:
    while size and (piece := os.pread(file, min(CHUNK, size), at)):
        at += len(piece)
        size -= len(piece)
        yield piece


def _hash(known: Known, size: int, whole: hashlib._Hash) -> None:
    """Add the first bytes of a file to a digest."""
    for piece in _pieces(known.file, 0, size):
        whole.update(piece)
        size -= len(piece)
    if size:
        raise OSError(errno.EIO, "a file ends too early")


class Arriving:
    """Large files of an archive while they come: hashed by helpers, or found to be known."""

    def __init__(
        self, spool: Spool, helpers: Sequence[Helper], known: KnownFiles | None = None
    ) -> None:
        self._spool = spool
        self._helpers = helpers
        self._known = known
        self._hashing: list[tuple[Node, hashlib._Hash]] = []

    def take(self, path: bytes, node: Node, parts: Iterator[memoryview]) -> None:
        """Take the content of a file."""
        whole = hashlib.sha256()
        helper = self._helpers[len(self._hashing) % len(self._helpers)]
        known = None
        if self._known is not None and self._spool.has_room:
            known = self._known.find(path, node.st_size)
        if known is not None:
            same, other = self._spool.compare(node, known, parts)
            if other is None:
                node.digest = known.digest
                return
            helper.do(partial(_hash, known, same, whole))
            helper.do(partial(whole.update, other))
        self._hashing.append((node, whole))
        for part in parts:
            helper.do(partial(whole.update, part))

    def complete(self) -> None:
        """Note what the helpers, which have ended, have found out."""
        for node, whole in self._hashing:
            node.digest = whole.digest()


class Tree:
    """What a plain archive holds."""

    def __init__(
        self, spool: Content, root: Node, umask: int, arriving: Arriving | None = None
    ) -> None:
        """While an archive is `arriving`, digests of what is large are found out beside."""
        self.spool = spool
        self._arriving = arriving
        self._folders = {b"": root}
        self.root = root
        self._described = False  # whether an entry has spoken of the root
        self.umask = umask
        self._implied = stat.S_IFDIR | (0o755 & ~umask)
        self.count = 0

    def add(self, entry: tar.Entry, reader: tar.Reader) -> bool:
        """Take up an entry; False where the archive is not plain."""
        path = clean(entry.name)
        self.count += 1
        if (
            entry.type not in PLAIN
            or entry.holes is not None
            or entry.xattrs
            or entry.uid > LARGEST_ID
            or entry.gid > LARGEST_ID
            or self.count > MOST_NODES
            or len(path) > LONGEST_PATH
        ):
            return False
        up, _, name = path.rpartition(b"/")
        above = self._folders.get(up)
        if above is None and (above := self._made(up)) is None:
            return False
        names = above.names
        assert names is not None
        if len(name) > LONGEST_NAME:
            return False
        if entry.type == tar.FOLDER:
            return self._folder(path, name, names, entry)
        if not path:
            return True
        if name in names:
            return False
        mtime = max(-LATEST, min(entry.mtime, LATEST))
        if entry.type == tar.SYMLINK:
            if not 0 < len(entry.link) <= LONGEST_PATH:
                return False
            node = Node(stat.S_IFLNK | 0o777, entry.uid, entry.gid, mtime)
            node.link, node.st_size = entry.link, len(entry.link)
        else:
            node = Node(stat.S_IFREG | entry.mode, entry.uid, entry.gid, mtime)
            node.st_size, node.at = entry.size, reader.stream.position
            if node.st_size <= SMALL or self._arriving is None:
                node.digest = hashlib.sha256(reader.read(SMALL)).digest()
            else:
                self._arriving.take(path, node, reader.content())
        names[name] = node
        return True

    def complete(self) -> None:
        """All has arrived: take the digests that are known now."""
        if self._arriving is not None:
            self._arriving.complete()
            self._arriving = None
        if not self._described and self.root.names:
            newest = max(node.st_mtime_ns for node in self.root.names.values())
            self.root.st_mtime_ns = newest  # the same for the same files, not what time it is

    def _folder(self, path: bytes, name: bytes, names: dict[bytes, Node], entry: tar.Entry) -> bool:
        self._described = self._described or not path
        node = self._folders.get(path)
        if node is None:
            if name in names:
                return False
            node = names[name] = self._folders[path] = Node(stat.S_IFDIR)
        node.st_mode = stat.S_IFDIR | entry.mode
        node.st_uid, node.st_gid = entry.uid, entry.gid
        node.st_mtime_ns = max(-LATEST, min(entry.mtime, LATEST))
        return True

    def _made(self, path: bytes) -> Node | None:
        """Return a folder that no entry has described; None where something else is."""
        here, at = self.root, b""
        for word in path.split(b"/"):
            at = at + b"/" + word if at else word
            known = self._folders.get(at)
            if known is None:
                assert here.names is not None
                if word in here.names or len(word) > LONGEST_NAME:
                    return None
                known = Node(self._implied, mtime=time.time_ns())
                here.names[word] = self._folders[at] = known
                self.count += 1
            here = known
        return here

    # ---- looking

    def find(self, path: bytes, *, follow: bool = True) -> tuple[bytes, Node] | None:
        """Return where a path leads, and what is there; `..` and links stay beneath the root."""
        return found_in(self.root, path, follow=follow)

    def read(self, path: bytes, limit: int) -> bytes | None:
        """Return the first `limit` bytes of a file; None where there is no such file."""
        found = self.find(path)
        if found is None or not stat.S_ISREG(found[1].st_mode):
            return None
        return self.spool.read(found[1], limit)

    def remove(self, path: bytes) -> bytes | None:
        """Take a file out of the index; return where it was."""
        found = self.find(path, follow=False)
        if found is None or found[1].names is not None:
            return None
        up, _, name = found[0].rpartition(b"/")
        names = self._folders[up].names
        assert names is not None
        del names[name]
        return found[0]


def found_in(root: Node, path: bytes, *, follow: bool = True) -> tuple[bytes, Node] | None:
    """Return where a path leads, and what is there; `..` and links stay beneath the root."""
    waiting = path.split(b"/")[::-1] if path else []
    nodes, words, links = [root], list[bytes](), 0
    while waiting:
        names = nodes[-1].names
        if names is None:
            return None
        word = waiting.pop()
        if word in (b"", b"."):
            continue
        if word == b"..":
            if words:
                words.pop()
                nodes.pop()
            continue
        node = names.get(word)
        if node is None:
            return None
        if stat.S_ISLNK(node.st_mode) and (follow or waiting):
            links += 1
            if links > MOST_LINKS:
                return None
            if node.link.startswith(b"/"):
                words, nodes = [], [root]
            waiting += node.link.split(b"/")[::-1]
            continue
        words.append(word)
        nodes.append(node)
    return b"/".join(words), nodes[-1]


def indexed(
    pieces: Iterable[bytes], spool: Spool, mode: int, umask: int, known: KnownFiles | None = None
) -> Tree | None:
    """Take in a whole archive; return its index, or None where it is not plain.

    `mode` is the root folder's, where no entry speaks of it.
    """
    root = Node(stat.S_IFDIR | mode, os.geteuid(), os.getegid(), time.time_ns())
    with Helper() as writer, Helper(AHEAD) as one, Helper(AHEAD) as other:
        tree: Tree | None = Tree(spool, root, umask, Arriving(spool, (one, other), known))
        reader = tar.Reader(spool.taking(pieces, writer))
        for entry in reader:
            if tree is not None and not tree.add(entry, reader):
                tree = None
        reader.stream.drain()
    if tree is not None:
        tree.complete()
    return tree
