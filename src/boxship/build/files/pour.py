"""Indexed files made in a folder that is new: nothing is in the way, nobody else looks.

The layer's archive can be put together at the same time: what its entries say is what the files
are given.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from boxship.build import stopping
from boxship.build.files import modes
from boxship.build.files.last import UNKNOWN, Facts, Last
from boxship.build.files.place import Given
from boxship.build.files.select import NOWHERE, Picked
from boxship.build.files.tree import Content, Node, Tree
from boxship.build.ops import Copy
from boxship.content.assembly import OWN, Assembly
from boxship.snapshot import trees
from boxship.wire import tar, tarwriter

NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
SMALL: Final = 1 << 17
MANY: Final = 200
MUCH: Final = 1 << 20
LATEST: Final = (1 << 31) * tar.NANOSECOND  # that every filesystem keeps as it is
UNLINKED: Final = frozenset((errno.ENOENT, errno.EMLINK, errno.EXDEV, errno.EPERM, errno.ENOTDIR))
OVERLAY: Final = "trusted.overlay."


_Level = tuple[bytes, int, int, int]  # path, folder, that of last time, time to be set


class LayerTar:
    """The layer's archive, entry by entry, and where each is."""

    def __init__(self, assembly: Assembly, before: bytes) -> None:
        self.assembly = assembly
        self.files: list[tuple[bytes, Facts, int, int]] = []
        self._at = self._size = 0  # of the base, to be taken as it is
        assembly.add(before)

    def refer(self, rel: bytes, facts: Facts, at: int, size: int) -> bool:
        """Take the next entry out of the base; False where that has it not."""
        if at == OWN or self.assembly.base is None:
            return False
        self.files.append((rel, facts, at, size))
        if at != self._at + self._size or self._size > MUCH:
            self._take()
            self._at = at
        self._size += size
        return True

    def _take(self) -> None:
        if self._size:
            self.assembly.add_known(self._at, self._size)
            self._size = 0

    def add(self, rel: bytes, facts: Facts, entry: tar.Entry, data: bytes = b"") -> None:
        """Add an entry whose content is small."""
        self._take()
        header = tarwriter.header(entry)
        if data:
            header = b"".join((header, data, tarwriter.padding(len(data))))
        self._note(rel, facts, len(header))
        self.assembly.add(header)

    def add_file(
        self, rel: bytes, facts: Facts, entry: tar.Entry, content: Content, node: Node
    ) -> None:
        """Add an entry whose content is read beside."""
        self._take()
        header, padding = tarwriter.header(entry), tarwriter.padding(entry.size)
        self._note(rel, facts, len(header) + entry.size + len(padding))
        self.assembly.add(header)
        self.assembly.add_file(*content.part(node), entry.size)
        if padding:
            self.assembly.add(padding)

    def _note(self, rel: bytes, facts: Facts, size: int) -> None:
        """Remember where the next entry is: here, or nowhere where only the base lasts."""
        at = self.assembly.size if self.assembly.base is None else OWN
        self.files.append((rel, facts, at, size))

    def end(self) -> None:
        """Nothing more comes."""
        self._take()
        self.assembly.add(tarwriter.END)
        self.assembly.complete()


class Pour:
    """One copy out of an archive, or of a folder that has an index."""

    def __init__(self, tree: Tree, wanted: Copy, given: Given) -> None:
        self._content = tree.spool
        self._wanted = wanted
        self._given = given
        self._special = 0o7000 | tree.umask
        self._now = time.time_ns()
        self._inherits = False  # a folder here may give its group to what is made in it

    def fill(
        self,
        folder: int,
        path: bytes,
        found: Iterable[Picked],
        at: bytes = b"",
        archive: LayerTar | None = None,
        last: Last | None = None,
    ) -> None:
        """Make all that was picked beneath `at` of a match in the folder at `path`, an empty one.

        `path` is the match's own.
        """
        self._known = {} if last is None else last.files
        same: list[bool] | None = None
        if archive is not None:
            found = list(found)
            same = self._pack(path, found, archive)
            archive.end()
        self._inherits = bool(os.fstat(folder).st_mode & stat.S_ISGID)
        before = NOWHERE if last is None else os.dup(last.folder)
        stack: list[_Level] = [(at, os.dup(folder), before, -1)]
        try:
            for number, one in enumerate(found):
                up, _, name = one.rel.rpartition(b"/")
                while stack[-1][0] != up:
                    _leave(stack.pop())
                _, here, before, _ = stack[-1]
                if same is not None and same[number] and _linked(before, here, name):
                    continue
                node = one.stat
                assert isinstance(node, Node)
                facts = self._facts(node, one)
                entry = _entry(facts, name)
                kind = stat.S_IFMT(node.st_mode)
                if kind == stat.S_IFDIR:
                    stopping.check()
                    inner = self._folder(here, name, entry)
                    stack.append((one.rel, inner, _inside(before, name), entry.mtime))
                elif kind == stat.S_IFLNK:
                    self._link(here, name, entry, node)
                else:
                    known, _, _ = self._known.get(one.rel, UNKNOWN)
                    if known != facts or not _linked(before, here, name):
                        self._make(here, name, entry, node)
        finally:
            while stack:
                _leave(stack.pop())

    def _pack(self, path: bytes, found: Sequence[Picked], archive: LayerTar) -> list[bool]:
        """Say first what all will be, so that it is hashed while it is made.

        Return which files are the same as last time.
        """
        same = [False] * len(found)
        for number in in_layers(found):
            one = found[number]
            node, rel = one.stat, one.rel
            assert isinstance(node, Node)
            facts = self._facts(node, one)
            kind = stat.S_IFMT(facts[0])
            if kind == stat.S_IFDIR:
                stopping.check()
            known, at, size = self._known.get(rel, UNKNOWN)
            alike = known == facts
            same[number] = alike and kind == stat.S_IFREG
            if alike and archive.refer(rel, facts, at, size):
                continue
            entry = _whole_seconds(_entry(facts, path + b"/" + rel if path else rel))
            if kind == stat.S_IFDIR:
                entry.type = tar.FOLDER
                entry.name += b"/"
                archive.add(rel, facts, entry)
            elif kind == stat.S_IFLNK:
                entry.type, entry.link = tar.SYMLINK, node.link
                archive.add(rel, facts, entry)
            else:
                entry.size = node.st_size
                if node.st_size > SMALL:
                    archive.add_file(rel, facts, entry, self._content, node)
                else:
                    data = self._content.read(node) if node.st_size else b""
                    archive.add(rel, facts, entry, data)
        return same

    def _facts(self, node: Node, one: Picked) -> Facts:
        """Say what a file is given, with its time to the nanosecond."""
        given, mode = self._given, node.st_mode
        if self._wanted.mode and not stat.S_ISLNK(mode):
            mode = stat.S_IFMT(mode) | modes.changed(mode, self._wanted.mode)
        mtime = node.st_mtime_ns if given.time < 0 else given.time
        return (
            mode,
            node.st_uid if given.uid is None else given.uid,
            node.st_gid if given.gid is None else given.gid,
            self._now if one.implied and given.time < 0 else mtime,
            node.link or node.digest,
        )

    def _folder(self, here: int, name: bytes, entry: tar.Entry) -> int:
        os.mkdir(name, 0o700, dir_fd=here)
        folder = os.open(name, trees.FOLDER, dir_fd=here)
        os.fchown(folder, entry.uid, entry.gid)
        os.fchmod(folder, entry.mode)
        self._inherits = self._inherits or bool(entry.mode & stat.S_ISGID)
        return folder

    def _link(self, here: int, name: bytes, entry: tar.Entry, node: Node) -> None:
        os.symlink(node.link, name, dir_fd=here)
        if entry.uid or entry.gid or self._inherits:
            os.chown(name, entry.uid, entry.gid, dir_fd=here, follow_symlinks=False)
        times = (entry.mtime, entry.mtime)
        os.utime(name, ns=times, dir_fd=here, follow_symlinks=False)

    def _make(self, here: int, name: bytes, entry: tar.Entry, node: Node) -> None:
        size = node.st_size
        data = self._content.read(node) if 0 < size <= SMALL else b""
        mode, mtime = entry.mode, entry.mtime
        file = os.open(name, NEW, mode & 0o777, dir_fd=here)
        try:
            if data and os.write(file, data) < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if size > SMALL:
                self._content.copy(node, file)
            if entry.uid or entry.gid or self._inherits:
                os.fchown(file, entry.uid, entry.gid)
            if mode & self._special:
                os.fchmod(file, mode)
            os.utime(file, ns=(mtime, mtime))
        finally:
            os.close(file)


def _entry(facts: Facts, name: bytes) -> tar.Entry:
    mode, uid, gid, mtime, _ = facts
    return tar.Entry(name, mode=stat.S_IMODE(mode), uid=uid, gid=gid, mtime=mtime)


def _inside(before: int, name: bytes) -> int:
    """Open the folder of last time that is now made anew, if there was one."""
    if before != NOWHERE:
        with suppress(OSError):
            return os.open(name, trees.FOLDER, dir_fd=before)
    return NOWHERE


def _linked(before: int, here: int, name: bytes) -> bool:
    """Give the file of last time a second name; False where that cannot be."""
    if before == NOWHERE:
        return False
    try:
        os.link(name, name, src_dir_fd=before, dst_dir_fd=here, follow_symlinks=False)
    except OSError as failure:
        if failure.errno in UNLINKED:
            return False
        raise
    return True


def _leave(level: _Level) -> None:
    """Close a folder; its times are set when nothing more is made in it."""
    _, folder, before, mtime = level
    if before != NOWHERE:
        os.close(before)
    try:
        if mtime >= 0:
            os.utime(folder, ns=(mtime, mtime))
    finally:
        os.close(folder)


def _whole_seconds(entry: tar.Entry) -> tar.Entry:
    entry.mtime = entry.mtime // tar.NANOSECOND * tar.NANOSECOND
    return entry


def in_layers(found: Sequence[Picked]) -> Iterable[int]:
    """Return the numbers of what was picked in the order of layers: what is large comes first."""
    large: dict[bytes, list[int]] = {}
    for number, one in enumerate(found):
        if trees.is_large(one.stat):
            large.setdefault(one.rel.rpartition(b"/")[0], []).append(number)
    return _moved(found, large) if large else range(len(found))


def _moved(found: Sequence[Picked], large: dict[bytes, list[int]]) -> Iterator[int]:
    """Yield what is large in a folder right after that folder."""
    yield from large.get(b"", ())
    for number, one in enumerate(found):
        if not trees.is_large(one.stat):
            yield number
            yield from large.get(one.rel, ())


def is_much(found: Sequence[Picked]) -> bool:
    """Whether it is worth more threads."""
    return len(found) > MANY or sum(one.stat.st_size for one in found) > MUCH


def suits(folder: int) -> bool:
    """Whether a new folder gives what is made in it nothing that this does not know of."""
    return all(name.startswith(OVERLAY) for name in os.listxattr(folder))


def keep_times(found: Iterable[Picked]) -> bool:
    """Whether every filesystem keeps the times of all files as they are."""
    return all(0 <= one.stat.st_mtime_ns < LATEST for one in found)
