"""What a copy takes of another result, as an index: it is poured then, as files of a context are.

The index tells what stat() says, and opens a file when it is its turn, by way of a mount of its
own that lasts until then. Only plain folders have one, as with archives (see `tree`): where there
are files with several names, attributes, or holes, `copy` does it, which knows of them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import Final

from boxship.build import stopping
from boxship.build.files.archive import umask
from boxship.build.files.kept import KeptFolder, PlacedNode
from boxship.build.files.pour import OVERLAY, SMALL
from boxship.build.files.select import PLAIN, Match
from boxship.build.files.tree import LONGEST_PATH, MOST_NODES, Node, Tree
from boxship.kernel import paths
from boxship.snapshot import trees

FICLONE: Final = 0x40049409
KINDS: Final = frozenset((stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK))
NO_CLONES: Final = frozenset(
    (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EISDIR, errno.EXDEV, errno.ENOSYS)
)


class ShownFolder(KeptFolder):
    """A result that is mounted for as long as anybody has this object."""

    def __init__(self, mounted: int) -> None:
        """The mount is this object's now."""
        self._mounted = mounted
        super().__init__(f"/proc/self/fd/{mounted}/.")

    def __del__(self) -> None:
        super().__del__()
        os.close(self._mounted)


def index(home: KeptFolder, match: Match) -> Tree | None:
    """Return the index of a folder that is copied; None where it is not plain."""
    top = paths.openat2(home.root, match.real or b".", trees.FOLDER, 0, PLAIN)
    try:
        if not _is_plain(top, b"."):
            return None
        root = here = Node(stat.S_IFDIR | 0o755)
        for word in match.real.split(b"/") if match.real else ():
            inner = Node(stat.S_IFDIR | 0o755)
            assert here.names is not None
            here.names[word] = inner
            here = inner
        _describe(here, os.fstat(top))
        tree = Tree(home, root, umask())
        return tree if _fill(tree, here, top, match.real) else None
    finally:
        os.close(top)


def _fill(tree: Tree, above: Node, folder: int, path: bytes) -> bool:
    """Take up what is in a folder; False where something is not plain."""
    folders = {b"": above}
    seen: set[tuple[int, int]] = set()
    for found in trees.walk(folder):
        status = found.stat
        kind = stat.S_IFMT(status.st_mode)
        tree.count += 1
        if kind not in KINDS or tree.count > MOST_NODES or len(found.path) > LONGEST_PATH:
            return False
        if status.st_nlink > 1 and kind != stat.S_IFDIR:
            identity = status.st_dev, status.st_ino
            if identity in seen:
                return False
            seen.add(identity)
        if status.st_blocks * 512 < status.st_size and status.st_size > SMALL:
            return False
        if not _is_plain(found.folder, found.name):
            return False
        node = PlacedNode(path + b"/" + found.path if path else found.path, status.st_mode)
        _describe(node, status)
        if kind == stat.S_IFDIR:
            stopping.check()
            folders[found.path] = node
        elif kind == stat.S_IFLNK:
            node.link = os.readlink(found.name, dir_fd=found.folder)
        up, _, name = found.path.rpartition(b"/")
        names = folders[up].names
        assert names is not None
        names[name] = node
    return True


def _describe(node: Node, status: os.stat_result) -> None:
    node.st_mode = status.st_mode
    node.st_uid, node.st_gid = status.st_uid, status.st_gid
    node.st_mtime_ns = status.st_mtime_ns
    if not stat.S_ISDIR(status.st_mode):
        node.st_size = status.st_size


def _is_plain(folder: int, name: bytes) -> bool:
    path = f"/proc/self/fd/{folder}/".encode() + name
    return all(one.startswith(OVERLAY) for one in os.listxattr(path, follow_symlinks=False))


def shares_blocks(folder: int) -> bool:
    """Whether copies of files take no room there: then it is better to copy as the kernel does."""
    try:
        files = [os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600, dir_fd=folder) for _ in range(2)]
    except OSError as error:
        if error.errno in NO_CLONES:
            return False
        raise
    try:
        fcntl.ioctl(files[0], FICLONE, files[1])
    except OSError as error:
        if error.errno in NO_CLONES:
            return False
        raise
    finally:
        for file in files:
            os.close(file)
    return True
