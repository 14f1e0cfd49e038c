"""Copies what was selected into a result, as `docker build` does it.

source   target               becomes
file     a folder, or `x/`    a file in it, under its own name
file     anything else        that file; what was there is replaced
folder   (contents only)      its files in the target folder, which is made if it is missing
folder   a folder that is     the folder itself, in it

A target folder of which only the contents are given has the mode and owner it had, or those of any
new folder; its times become those of the source.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from boxship.build.errors import NoSuchFile
from boxship.build.files import modes, place
from boxship.build.files.last import Last
from boxship.build.files.place import Given
from boxship.build.files.pour import LayerTar, Pour, keep_times, suits
from boxship.build.files.select import Match, Picked, Picks, link_of, picked
from boxship.build.files.tree import Node, Status, Tree
from boxship.build.ops import Copy
from boxship.errors import InvalidRequest
from boxship.snapshot import trees

READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
SMALL: Final = 1 << 17
PLAIN_FOLDER: Final = 0o755
OVERLAY: Final = "trusted.overlay."
UNSHARED: Final = frozenset((errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS))

_Level = tuple[bytes, int, bool, Status | None]  # path, folder, whether it is new, times to be set


def copy(
    source: int | Tree,
    target: int,
    match: Match,
    wanted: Copy,
    given: Given,
    beneath: Beneath | None = None,
) -> None:
    """Copy one match from the tree at `source`, or an archive, into the one at `target`."""
    Copying(source, target, wanted, given, beneath).one(match)


@dataclass(frozen=True, slots=True)
class Beneath:
    """The folder of the target's own files: what is new may be made there, as the kernel would.

    `begin` is told what a copy will make in which empty folder, and returns what takes the layer's
    archive, if that is wanted, and the same copy of last time, if that is known.
    """

    root: int
    begin: Callable[[bytes, Sequence[Picked]], tuple[LayerTar | None, Last | None]]


class Copying:
    """The copy of one source; hard links within it stay hard links."""

    def __init__(
        self,
        source: int | Tree,
        target: int,
        wanted: Copy,
        given: Given,
        beneath: Beneath | None = None,
    ) -> None:
        self._source = source
        self._target = target
        self._wanted = wanted
        self._given = given
        self._beneath = beneath
        self._pour = Pour(source, wanted, given) if isinstance(source, Tree) else None
        self._links: dict[tuple[int, int], bytes] = {}

    def one(self, match: Match) -> None:
        """Copy a match with all that is taken beneath it."""
        found = picked(self._source, match, self._wanted)
        top = next(found)
        up, name = self._destination(top)
        parent = place.make_folders(self._target, up, self._given)
        try:
            if not stat.S_ISDIR(top.stat.st_mode):
                self._file(top, parent, name, b"/".join(filter(None, (up, name))))
                return
            base = b"/".join(filter(None, (up, name)))
            self._tree(top, Picks(found), parent, name, base)
        finally:
            found.close()
            os.close(parent)

    def _destination(self, top: Picked) -> tuple[bytes, bytes]:
        """Return the folder that the match goes to, and what it is called there."""
        asked = self._wanted.target
        as_folder = asked.endswith(("/", "/."))
        is_folder = stat.S_ISDIR(top.stat.st_mode)
        where = place.resolve(self._target, asked)
        if not self._wanted.make_parents:
            self._check_parent(where)
        if as_folder:
            os.close(place.make_folders(self._target, where, self._given))
        up, _, name = where.rpartition(b"/")
        there = self._status(up, name)
        contents = is_folder and self._wanted.contents_only
        if there is not None and stat.S_ISDIR(there.st_mode) and not contents:
            base = top.match.rpartition(b"/")[2]
            return (where, base) if base else (up, name)
        return up, name

    def _check_parent(self, where: bytes) -> None:
        try:
            os.close(place.folder(self._target, where.rpartition(b"/")[0]))
        except OSError:
            raise NoSuchFile(self._wanted.target) from None

    def _status(self, up: bytes, name: bytes) -> os.stat_result | None:
        try:
            above = place.folder(self._target, up)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise InvalidRequest(f"/{os.fsdecode(up)}: not a directory") from None
        try:
            return place.status(above, name or b".")
        finally:
            os.close(above)

    # ---- folders

    def _tree(self, top: Picked, rest: Picks, parent: int, name: bytes, base: bytes) -> None:
        fd, made = self._folder(top, parent, name)
        timed = (made or self._wanted.contents_only) and not top.implied
        with _closed_after_failure(fd):
            if self._poured(top, rest, fd, base, made=made, timed=timed):
                return
        stack: list[_Level] = [(b"", fd, made, top.stat if timed else None)]
        if made:
            self._describe_top(top, fd)
        try:
            for one in rest:
                up, _, last = one.rel.rpartition(b"/")
                while stack[-1][0] != up:
                    self._leave(stack.pop())
                _, here, empty, _ = stack[-1]
                if stat.S_ISDIR(one.stat.st_mode):
                    inner, made = self._folder(one, here, last)
                    with _closed_after_failure(inner):
                        if made and self._poured_inside(one, rest, inner, base):
                            continue
                    stack.append((one.rel, inner, made, None if one.implied else one.stat))
                    if not one.implied or made:
                        self._describe_folder(one, inner)
                else:
                    path = base + b"/" + one.rel if base else one.rel
                    self._file(one, here, last, path, empty=empty)
        finally:
            while stack:
                self._leave(stack.pop())

    def _describe_top(self, top: Picked, fd: int) -> None:
        """Describe the folder that a match has become, which is new."""
        if self._wanted.contents_only:
            os.fchown(fd, *self._given.ids)
            os.fchmod(fd, PLAIN_FOLDER)
        elif not top.implied:
            self._describe_folder(top, fd)

    def _poured(
        self, top: Picked, rest: Picks, fd: int, base: bytes, *, made: bool, timed: bool
    ) -> bool:
        """Make all that is taken at once where it goes to an empty folder; False where not so.

        A folder that was there is made the target's own by a change that changes nothing.
        """
        if self._pour is None or self._beneath is None or not (made or not os.listdir(fd)):
            return False
        if made:
            self._describe_top(top, fd)
        else:
            os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode))
        real = place.folder(self._beneath.root, base)
        try:
            if not suits(real):
                return False
            found = list(rest)
            now = time.time_ns()
            times = self._times(top.stat) if timed else (now, now)
            os.utime(real, ns=times)
            archive: LayerTar | None = None
            last: Last | None = None
            if keep_times(found):
                archive, last = self._beneath.begin(base, found)
            self._pour.fill(real, base, found, archive=archive, last=last)
            os.utime(real, ns=times)
        finally:
            os.close(real)
        os.close(fd)
        return True

    def _poured_inside(self, one: Picked, rest: Picks, fd: int, base: bytes) -> bool:
        """Do the same for a folder that is new in one that is not."""
        if self._pour is None or self._beneath is None:
            return False
        path = base + b"/" + one.rel if base else one.rel
        real = place.folder(self._beneath.root, path)
        try:
            if not suits(real):
                return False
            self._describe_folder(one, fd)
            self._pour.fill(real, base, rest.beneath(one.rel), one.rel)
            if not one.implied:
                self._set_times(real, one.stat)
        finally:
            os.close(real)
        os.close(fd)
        return True

    def _folder(self, one: Picked, at: int, name: bytes) -> tuple[int, bool]:
        """Open the folder that a folder becomes; say whether it is new."""
        if not name:
            return os.open(".", trees.FOLDER, dir_fd=at), False
        there = place.status(at, name)
        if there is not None and not stat.S_ISDIR(there.st_mode):
            if not self._wanted.replace:
                raise InvalidRequest(f"cannot copy to non-directory: {os.fsdecode(name)}")
            os.unlink(name, dir_fd=at)
            there = None
        if there is None:
            os.mkdir(name, 0o700, dir_fd=at)
        return os.open(name, trees.FOLDER, dir_fd=at), there is None

    def _describe_folder(self, one: Picked, target: int) -> None:
        self._describe(one.stat, target)
        if isinstance(one.stat, Node):
            return
        source = os.open(one.name, trees.FOLDER, dir_fd=one.folder)
        try:
            _copy_attributes(source, target)
        finally:
            os.close(source)

    def _leave(self, level: _Level) -> None:
        """Close a folder; its times are set when nothing more is made in it."""
        _, target, _, status = level
        if status is not None:
            self._set_times(target, status)
        os.close(target)

    # ---- files

    def _file(self, one: Picked, at: int, name: bytes, path: bytes, *, empty: bool = False) -> None:
        """Make a file; an empty folder has only what this copy has made, each name once."""
        if not empty:
            self._make_room(at, name, one)
        status = one.stat
        kind = stat.S_IFMT(status.st_mode)
        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1:
            if (known := self._links.get(identity)) is not None and self._link(known, at, name):
                return
            self._links[identity] = path
        if kind == stat.S_IFREG:
            self._regular(one, at, name)
        elif kind == stat.S_IFLNK:
            os.symlink(link_of(one), name, dir_fd=at)
            self._describe_name(status, at, name)
        else:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=at)
            self._describe_name(status, at, name)

    def _make_room(self, at: int, name: bytes, one: Picked) -> None:
        try:
            os.unlink(name, dir_fd=at)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            if not self._wanted.replace:
                raise InvalidRequest(
                    f"cannot replace to directory {os.fsdecode(name)} with file"
                ) from None
            trees.remove(at, name)

    def _link(self, known: bytes, at: int, name: bytes) -> bool:
        up, _, first = known.rpartition(b"/")
        above = place.folder(self._target, up)
        try:
            os.link(first, name, src_dir_fd=above, dst_dir_fd=at, follow_symlinks=False)
        except FileNotFoundError:
            return False
        finally:
            os.close(above)
        return True

    def _regular(self, one: Picked, at: int, name: bytes) -> None:
        if isinstance(one.stat, Node):
            self._out_of_archive(one.stat, at, name)
            return
        source = os.open(one.name, READ, dir_fd=one.folder)
        try:
            target = os.open(name, NEW, 0o600, dir_fd=at)
            try:
                copy_content(source, target, one.stat)
                self._describe(one.stat, target)
                _copy_attributes(source, target)
                self._set_times(target, one.stat)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _out_of_archive(self, node: Node, at: int, name: bytes) -> None:
        assert isinstance(self._source, Tree)
        spool = self._source.spool
        target = os.open(name, NEW, 0o600, dir_fd=at)
        try:
            if node.st_size > SMALL:
                spool.copy(node, target)
            elif node.st_size and os.write(target, spool.read(node)) < node.st_size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._describe(node, target)
            self._set_times(target, node)
        finally:
            os.close(target)

    # ---- attributes

    def _describe(self, status: Status, target: int) -> None:
        given, wanted = self._given, self._wanted
        os.fchown(
            target,
            status.st_uid if given.uid is None else given.uid,
            status.st_gid if given.gid is None else given.gid,
        )
        mode = stat.S_IMODE(status.st_mode)
        if wanted.mode:
            mode = modes.changed(status.st_mode, wanted.mode)
        os.fchmod(target, mode)

    def _describe_name(self, status: Status, at: int, name: bytes) -> None:
        given, wanted = self._given, self._wanted
        os.chown(
            name,
            status.st_uid if given.uid is None else given.uid,
            status.st_gid if given.gid is None else given.gid,
            dir_fd=at,
            follow_symlinks=False,
        )
        if not stat.S_ISLNK(status.st_mode):
            mode = stat.S_IMODE(status.st_mode)
            if wanted.mode:
                mode = modes.changed(status.st_mode, wanted.mode)
            trees.set_mode(at, name, mode)
        os.utime(name, ns=self._times(status), dir_fd=at, follow_symlinks=False)

    def _set_times(self, target: int, status: Status) -> None:
        os.utime(target, ns=self._times(status))

    def _times(self, status: Status) -> tuple[int, int]:
        if self._given.time >= 0:
            return self._given.time, self._given.time
        return status.st_atime_ns, status.st_mtime_ns


@contextmanager
def _closed_after_failure(file: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(file)
        raise


def copy_content(source: int, target: int, status: os.stat_result) -> None:
    """Copy a file's bytes; holes stay holes, and blocks are shared where that can be."""
    size = status.st_size
    if size <= SMALL:
        while data := os.read(source, SMALL):
            view = memoryview(data)
            while view:
                view = view[os.write(target, view) :]
            if len(data) >= size:
                return
        return
    if status.st_blocks * 512 < size:
        _copy_parts(source, target, size)
        return
    _copy_range(source, target, size)


def _copy_parts(source: int, target: int, size: int) -> None:
    """Copy only what is data."""
    at = 0
    while at < size:
        try:
            begin = os.lseek(source, at, os.SEEK_DATA)
        except OSError as failure:
            if failure.errno == errno.ENXIO:
                break
            raise
        end = os.lseek(source, begin, os.SEEK_HOLE)
        os.lseek(source, begin, os.SEEK_SET)
        os.lseek(target, begin, os.SEEK_SET)
        _copy_range(source, target, end - begin)
        at = end
    os.ftruncate(target, size)


def _copy_range(source: int, target: int, size: int, at: int | None = None) -> None:
    """Copy bytes from where `source` stands, or from `at`, to where `target` stands."""
    left = size
    while left:
        try:
            done = os.copy_file_range(source, target, min(left, 1 << 30), at)
        except OSError as failure:
            if failure.errno not in UNSHARED:
                raise
            break
        if not done:
            return
        left -= done
        at = None if at is None else at + done
    while left:
        done = os.sendfile(target, source, at, min(left, 1 << 24))
        if not done:
            return
        left -= done
        at = None if at is None else at + done


def _copy_attributes(source: int, target: int) -> None:
    for name in os.listxattr(source):
        if not name.startswith(OVERLAY):
            try:
                os.setxattr(target, name, os.getxattr(source, name))
            except OSError as failure:
                if failure.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENODATA):
                    raise
