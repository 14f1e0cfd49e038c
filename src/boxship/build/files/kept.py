"""A client's folder as it is kept between builds, with an index of what is in it.

    KeptNode     a file whose digest was found when it came, or is found when it is wanted
    KeptFolder   where the bytes are
    Receiving    makes the index while a transfer goes on: only what has come is hashed

A client says what has changed, and by what it says of owners, modes, sizes and times it is judged
which files it need not send again. It can only hide changes from itself by that: digests and sizes
are those of the bytes that are here.

What a copy takes is copied once, and from then on linked from the layer of last time (see `last`).
Files here get no second names: two copies of one file into two layers would be one file in a
container, and programs look at that.

Only plain folders have an index, as with archives: see `tree`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Final

from boxship.build.files.archive import FEW, umask
from boxship.build.files.select import NOWHERE
from boxship.build.files.tree import LONGEST_PATH, MOST_NODES, Node, Tree
from boxship.content.assembly import Opened
from boxship.kernel import paths
from boxship.snapshot import trees
from boxship.wire.fsutil import Said

READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
PLAIN: Final = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS
CHUNK: Final = 1 << 20


class PlacedNode(Node):
    """A file beneath a folder that is open."""

    __slots__ = ("path",)

    def __init__(self, path: bytes, mode: int, uid: int = 0, gid: int = 0, mtime: int = 0) -> None:
        super().__init__(mode, uid, gid, mtime)
        self.path = path


class KeptNode(PlacedNode):
    """A file of a kept folder."""

    __slots__ = ("_digest", "_home")
    _digest: bytes

    def __init__(
        self, home: KeptFolder, path: bytes, mode: int, uid: int, gid: int, mtime: int
    ) -> None:
        super().__init__(path, mode, uid, gid, mtime)
        self._home = home

    @property
    def digest(self) -> bytes:
        """That of its content."""
        if not self._digest and stat.S_ISREG(self.st_mode):
            self._digest = self._home.hashed(self)
        return self._digest

    @digest.setter
    def digest(self, found: bytes) -> None:
        self._digest = found

    @property
    def known(self) -> bytes:
        """The digest, if anybody has wanted it yet."""
        return self._digest


class KeptFolder:
    """Fulfils `tree.Content`; safe to use from any thread."""

    def __init__(self, path: str) -> None:
        self._turn = threading.Lock()
        self._inner = NOWHERE  # the folder whose files were opened last: the next are there, too
        self._where = b""
        self.root = os.open(path, trees.FOLDER)

    def __del__(self) -> None:
        for folder in (self._inner, getattr(self, "root", NOWHERE)):
            if folder != NOWHERE:
                os.close(folder)

    def open(self, node: Node) -> int:
        """Open a file that is as long as it was."""
        assert isinstance(node, PlacedNode)
        up, _, name = node.path.rpartition(b"/")
        with self._turn:
            if up != self._where or self._inner == NOWHERE:
                inner = paths.openat2(self.root, up or b".", trees.FOLDER, 0, PLAIN)
                if self._inner != NOWHERE:
                    os.close(self._inner)
                self._inner, self._where = inner, up
            file = os.open(name, READ, dir_fd=self._inner)
        if os.fstat(file).st_size != node.st_size:
            os.close(file)
            raise OSError(errno.ESTALE, "a kept file has changed", os.fsdecode(node.path))
        return file

    def read(self, node: Node, limit: int = sys.maxsize) -> bytes:
        """Return a file's first bytes."""
        file = self.open(node)
        try:
            return os.read(file, min(node.st_size, limit))
        finally:
            os.close(file)

    def copy(self, node: Node, target: int) -> None:
        """Append a file to an open one."""
        file, size = self.open(node), node.st_size
        try:
            while size:
                done = os.sendfile(target, file, None, min(size, 1 << 30))
                if not done:
                    raise OSError(errno.EIO, "a kept file ends too early")
                size -= done
        finally:
            os.close(file)

    def pieces(self, node: Node) -> Iterator[bytes]:
        """Yield a file."""
        file = self.open(node)
        try:
            while piece := os.read(file, CHUNK):
                yield piece
        finally:
            os.close(file)

    def part(self, node: Node) -> tuple[Opened, int]:
        """Return what opens a file when it is wanted."""
        return _Later(self, node), 0

    def hashed(self, node: Node) -> bytes:
        """Return the digest of a file's content."""
        whole = hashlib.sha256()
        for piece in self.pieces(node):
            whole.update(piece)
        return whole.digest()


class _Later:
    """A file that is opened when it is its turn."""

    def __init__(self, home: KeptFolder, node: Node) -> None:
        self._home = home
        self._node = node
        self._file = -1
        self._turn = threading.Lock()

    @property
    def file(self) -> int:
        with self._turn:
            if self._file < 0:
                self._file = self._home.open(self._node)
            return self._file

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)


class KeptContext:
    """What a transfer has left, for one build; fulfils `archive.Indexed`."""

    def __init__(self, tree: Tree, then: Callable[[Callable[[], object]], None]) -> None:
        self.tree = tree
        self.then = then

    @property
    def is_small(self) -> bool:
        """Whether all that is in it can be looked at in no time."""
        return self.tree.count <= FEW

    def unpack(self) -> None:
        """It is a folder."""


class Receiving:
    """Fulfils `fsutil.Seen`."""

    def __init__(self, home: KeptFolder, before: Node | None) -> None:
        """`before` is the root of the last index, if that is still true."""
        self.home = home
        self.root = Node(stat.S_IFDIR)
        assert self.root.names is not None
        self.count = 0
        self.size = 0
        self._plain = not os.listxattr(home.root)
        self._folders = [(b"", self.root.names, before)]
        self._arriving: dict[int, tuple[KeptNode, hashlib._Hash]] = {}

    def folder(self, path: bytes, mode: int, said: Said) -> None:
        """A folder is there."""
        old = self._put(path, node := self._node(path, mode, said))
        assert node.names is not None
        self._folders.append((path, node.names, old))

    def link(self, path: bytes, mode: int, said: Said) -> None:
        """A symbolic link is there."""
        node = self._node(path, stat.S_IFLNK | 0o777, said)
        node.link, node.st_size = said.linkname, len(said.linkname)
        self.size += node.st_size
        self._put(path, node)

    def file(self, path: bytes, mode: int, said: Said, number: int, *, same: bool) -> None:
        """A file is there, as it was, or what it holds is to come."""
        node = self._node(path, mode, said)
        old = self._put(path, node)
        if not same:
            self._arriving[number] = (node, hashlib.sha256())
            return
        node.st_size = said.size
        self.size += said.size
        if (
            isinstance(old, KeptNode)
            and old.st_size == node.st_size
            and old.st_mtime_ns == node.st_mtime_ns
            and old.st_mode == node.st_mode
        ):
            node.digest = old.known

    def data(self, number: int, data: bytes) -> None:
        """Some of a file has come; nothing is its end."""
        node, whole = self._arriving[number]
        if data:
            whole.update(data)
            node.st_size += len(data)
            return
        node.digest = whole.digest()
        self.size += node.st_size
        del self._arriving[number]

    def other(self) -> None:
        """Something is there that no index tells of."""
        self._plain = False

    def tree(self) -> Tree | None:
        """Return the index; None where the folder is not plain."""
        if not self._plain:
            return None
        status = os.fstat(self.home.root)
        root = self.root
        root.st_mode, root.st_uid, root.st_gid = status.st_mode, status.st_uid, status.st_gid
        root.st_mtime_ns = status.st_mtime_ns
        tree = Tree(self.home, root, umask())
        tree.count = self.count
        return tree

    def _node(self, path: bytes, mode: int, said: Said) -> KeptNode:
        self.count += 1
        if self.count > MOST_NODES or len(path) > LONGEST_PATH:
            self._plain = False
        return KeptNode(self.home, path, mode, said.uid, said.gid, said.mod_time)

    def _put(self, path: bytes, node: Node) -> Node | None:
        """Put a file into its folder; return what had its name before."""
        up, _, name = path.rpartition(b"/")
        while self._folders[-1][0] != up:
            self._folders.pop()
        _, names, before = self._folders[-1]
        names[name] = node
        return None if before is None or before.names is None else before.names.get(name)
