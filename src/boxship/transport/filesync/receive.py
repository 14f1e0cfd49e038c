"""Taking over somebody's folder: only what is different is asked for.

The sender may be hostile. No path is followed: each name is opened beneath the descriptor of the
folder that holds it, never through a link, and a folder must have been announced before what is
in it. A file that is being written has no right time yet, so a transfer that breaks off is
noticed by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.spec.buildkit.session_pb2 import Stat
from boxship.transport.filesync.packets import Packets, conversed
from boxship.transport.http2 import Stream
from boxship.wire import fsutil
from boxship.wire.fsutil import BadTransfer, Seen

MOST_ENTRIES: Final = 4 << 20
MOST_OPEN: Final = 64  # files whose data is on its way; a sender works on four
MOST_FOLDERS: Final = 32  # kept open for the files in them
DEPTH: Final = 512
NOBODY: Final = 0xFFFFFFFF  # what chown(2) takes for "as it is"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE: Final = _FILE | os.O_CREAT | os.O_EXCL


@dataclass(slots=True)
class Transferred:
    """What a transfer came to."""

    entries: int = 0
    asked: int = 0
    size: int = 0


async def receive(
    stream: Stream,
    folder: str,
    done: Transferred | None = None,
    *,
    keep: bool = False,
    seen: Seen | None = None,
) -> Transferred:
    """Make `folder` hold what the other side sends; `done` tells how far it is.

    With `keep`, what the other side does not have stays, what comes is ours, and devices are made.
    """
    done = Transferred() if done is None else done
    receiver = Receiver(folder, done, keep=keep, seen=seen)

    async def take(messages: Sequence[bytes]) -> list[int]:
        if receiver.complete:  # no file is touched any more
            return receiver.take(messages)
        return await asyncio.to_thread(receiver.take, messages)

    try:
        await conversed(stream, receiver, take)
        return done
    finally:
        receiver.close()


@dataclass(slots=True)
class _Folder:
    """A folder whose contents are being announced."""

    descriptor: int
    stat: Stat | None
    left: set[bytes]  # what was in it and has not been announced
    last: bytes = b""


@dataclass(slots=True)
class _Arriving:
    """A file whose data is awaited, or on its way; `old` bytes are there that it replaces."""

    path: tuple[bytes, ...]
    stat: Stat
    old: int
    descriptor: int = -1
    written: int = 0


class Receiver(Packets):
    """Takes packets, changes a folder, says which files it wants. Not for two threads at once."""

    def __init__(
        self, folder: str, done: Transferred, *, keep: bool = False, seen: Seen | None = None
    ) -> None:
        super().__init__()
        os.makedirs(folder, 0o755 if keep else 0o700, exist_ok=True)
        root = os.open(folder, _FOLDER)
        self._root = root
        self._done = done
        self._keep = keep
        self._seen = seen
        self._inodes: set[int] = set()  # of files with several names that are each said to be one
        self._names: list[bytes] = []
        self._stack = [_Folder(root, None, set(map(os.fsencode, os.listdir(root))))]
        self._arriving: dict[int, _Arriving] = {}
        self._open = 0
        self._kept: OrderedDict[tuple[bytes, ...], int] = OrderedDict()

    @property
    def complete(self) -> bool:
        """Whether everything is there."""
        return self.listed and not self._arriving

    def close(self) -> None:
        for arriving in self._arriving.values():
            if arriving.descriptor >= 0:
                os.close(arriving.descriptor)
        for folder in self._stack[1:]:
            os.close(folder.descriptor)
        for descriptor in self._kept.values():
            os.close(descriptor)
        self._kept.clear()
        self._arriving.clear()
        self._stack.clear()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def take(self, messages: Sequence[bytes]) -> list[int]:
        """Work through packets; return the numbers of the files that are wanted."""
        try:
            return super().take(messages)
        except PermissionError as error:
            raise BadTransfer(f"a transfer cannot be carried out: {error}") from error
        except (OverflowError, ValueError) as error:  # a time or an owner that none can have
            raise BadTransfer(f"a transfer cannot be carried out: {error}") from None

    def end_of_list(self) -> Iterable[int]:
        """What was not announced goes away."""
        self._leave(0)
        self._sweep(self._stack[0])
        return ()

    @property
    def count(self) -> int:
        """How many entries have been announced."""
        return self._done.entries

    # The tree

    def announced(self, said: Stat) -> bool:
        """Make an entry as far as it can be made; return whether its data is wanted."""
        number = self._done.entries
        self._done.entries += 1
        if number >= MOST_ENTRIES:
            raise BadTransfer(f"a transfer of more than {MOST_ENTRIES} files")
        if self._keep:
            said.uid, said.gid = os.geteuid(), os.getegid()
        names = fsutil.split(said.path)
        if len(names) > DEPTH:
            raise BadTransfer(f"folders are nested deeper than {DEPTH}: {said.path[:200]!r}")
        depth = 0
        while depth < min(len(self._names), len(names) - 1) and self._names[depth] == names[depth]:
            depth += 1
        if depth != len(names) - 1:
            raise BadTransfer(f"the folder of {said.path[:200]!r} was not announced")
        self._leave(depth)
        folder, name = self._stack[-1], names[-1]
        if name <= folder.last:
            raise BadTransfer(f"a transfer is out of order at {said.path[:200]!r}")
        folder.last = name
        known = name in folder.left
        folder.left.discard(name)
        return self._make(folder.descriptor, name, names, number, said, known=known)

    def _make(
        self,
        folder: int,
        name: bytes,
        names: list[bytes],
        number: int,
        said: Stat,
        *,
        known: bool,
    ) -> bool:
        mode = fsutil.to_unix(said.mode)
        if NOBODY in (said.uid, said.gid):
            raise BadTransfer(f"nobody can own {said.path[:200]!r}")
        here = os.stat(name, dir_fd=folder, follow_symlinks=False) if known else None
        if stat.S_ISREG(mode) and said.linkname:
            self._tell(mode, said, number)
            self._link(folder, name, said, here)
            return False
        same = here is not None and _same(here, mode, said, folder, name)
        if same and here is not None and here.st_nlink > 1 and stat.S_ISREG(mode):
            same = here.st_ino not in self._inodes
            self._inodes.add(here.st_ino)
        self._tell(mode, said, number, same=same)
        if stat.S_ISDIR(mode):
            if here is None or not stat.S_ISDIR(here.st_mode):
                _remove(folder, name, here)
                os.mkdir(name, 0o700, dir_fd=folder)
            inner = os.open(name, _FOLDER, dir_fd=folder)
            left = set(map(os.fsencode, os.listdir(inner))) if here is not None else set()
            self._names.append(name)
            self._stack.append(_Folder(inner, said, left))
            return False
        if same:
            return False
        if stat.S_ISREG(mode) and said.size > 0:
            self._await(folder, names, number, said, here)
            return True
        _remove(folder, name, here)
        if stat.S_ISREG(mode):
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=folder)
            try:
                _dress(descriptor, said)
            finally:
                os.close(descriptor)
            if self._seen is not None:
                self._seen.data(number, b"")
        elif stat.S_ISLNK(mode):
            os.symlink(said.linkname, name, dir_fd=folder)
            os.chown(name, said.uid, said.gid, dir_fd=folder, follow_symlinks=False)
            times = (said.mod_time, said.mod_time)
            os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)
        elif stat.S_ISFIFO(mode):
            os.mkfifo(name, stat.S_IMODE(mode), dir_fd=folder)
            os.chown(name, said.uid, said.gid, dir_fd=folder, follow_symlinks=False)
            os.utime(name, ns=(said.mod_time, said.mod_time), dir_fd=folder)
        elif self._keep and not stat.S_ISSOCK(mode):
            device = os.makedev(said.devmajor, said.devminor)
            os.mknod(name, mode, device, dir_fd=folder)
        else:
            raise BadTransfer(f"devices and sockets are not taken: {said.path[:200]!r}")
        return False

    def _await(
        self,
        folder: int,
        names: list[bytes],
        number: int,
        said: Stat,
        here: os.stat_result | None,
    ) -> None:
        """Want a file's data. It gets a file now: later its folder has its time already.

        One that is here is written over, which takes a filesystem half as long as another in its
        place. Nobody else has it: a folder that we keep belongs to one transfer, and what is made
        of its files are copies.
        """
        old = 0
        if here and stat.S_ISREG(here.st_mode) and here.st_nlink == 1 and not self._keep:
            old = here.st_size
        else:
            _remove(folder, names[-1], here)
            os.close(os.open(names[-1], _CREATE, 0o600, dir_fd=folder))
        self._arriving[number] = _Arriving(tuple(names), said, old)
        self._done.asked += 1

    def _tell(self, mode: int, said: Stat, number: int, *, same: bool = False) -> None:
        seen = self._seen
        if seen is None:
            return
        if stat.S_ISDIR(mode):
            seen.folder(said.path, mode, said)
        elif stat.S_ISLNK(mode):
            seen.link(said.path, mode, said)
        elif stat.S_ISREG(mode) and not said.linkname:
            seen.file(said.path, mode, said, number, same=same)
        else:
            seen.other()
        if any(map(_is_taken_over, said.xattrs)):
            seen.other()

    def _link(self, folder: int, name: bytes, said: Stat, here: os.stat_result | None) -> None:
        """Make a hard link to something announced before."""
        *parents, target = fsutil.split(said.linkname)
        holder = self._folder(tuple(parents))
        try:
            found = os.stat(target, dir_fd=holder, follow_symlinks=False)
        except FileNotFoundError:
            raise BadTransfer(f"a link to nothing: {said.path[:200]!r}") from None
        if not stat.S_ISREG(found.st_mode):
            raise BadTransfer(f"a link to what is no file: {said.path[:200]!r}")
        if here is not None and (here.st_dev, here.st_ino) == (found.st_dev, found.st_ino):
            return
        _remove(folder, name, here)
        os.link(target, name, src_dir_fd=holder, dst_dir_fd=folder, follow_symlinks=False)

    def _leave(self, depth: int) -> None:
        """Finish the folders below `depth`: what was not announced goes away."""
        while len(self._stack) > depth + 1:
            folder = self._stack.pop()
            self._names.pop()
            try:
                self._sweep(folder)
                assert folder.stat is not None
                _dress(folder.descriptor, folder.stat)
            finally:
                os.close(folder.descriptor)

    def _sweep(self, folder: _Folder) -> None:
        if self._keep:
            return
        for name in folder.left:
            found = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
            _remove(folder.descriptor, name, found)
        folder.left.clear()

    def _folder(self, path: tuple[bytes, ...]) -> int:
        """Return a folder of the tree, found without following links; it stays ours."""
        if not path:
            return self._root
        if path in self._kept:
            self._kept.move_to_end(path)
            return self._kept[path]
        here = os.dup(self._root)
        try:
            for name in path:
                inner = os.open(name, _FOLDER, dir_fd=here)
                os.close(here)
                here = inner
        except OSError as error:
            os.close(here)
            raise BadTransfer(f"a folder of a transfer has gone: {error}") from error
        self._kept[path] = here
        while len(self._kept) > MOST_FOLDERS:
            os.close(self._kept.popitem(last=False)[1])
        return here

    # Data

    def data(self, number: int, data: bytes) -> None:
        """Write some of a file; nothing is its end."""
        arriving = self._arriving.get(number)
        if arriving is None:
            raise BadTransfer("data of a file that was not asked for")
        if arriving.descriptor < 0:
            if self._open >= MOST_OPEN:
                raise BadTransfer("data of too many files at a time")
            arriving.descriptor = self._opened(arriving)
            self._open += 1
        if data:
            view = memoryview(data)
            while view:
                view = view[os.write(arriving.descriptor, view) :]
            arriving.written += len(data)
            self._done.size += len(data)
            if self._seen is not None:
                self._seen.data(number, data)
            return
        del self._arriving[number]
        self._open -= 1
        try:
            if arriving.old > arriving.written:
                os.ftruncate(arriving.descriptor, arriving.written)
            _dress(arriving.descriptor, arriving.stat)
        finally:
            os.close(arriving.descriptor)
        if self._seen is not None:
            self._seen.data(number, b"")

    def _opened(self, arriving: _Arriving) -> int:
        """Open a file to be written, without the attributes that it had."""
        *parents, name = arriving.path
        descriptor = os.open(name, _FILE, dir_fd=self._folder(tuple(parents)))
        if arriving.old:
            for key in _attributes(descriptor):
                os.removexattr(descriptor, key)
        return descriptor


def _attributes(descriptor: int) -> list[str]:
    """Return the attributes that a file was given here."""
    try:
        return [key for key in os.listxattr(descriptor) if _is_taken_over(key)]
    except OSError:  # not every filesystem has them
        return []


def _same(here: os.stat_result, mode: int, said: Stat, folder: int, name: bytes) -> bool:
    if here.st_mode != mode and not (stat.S_ISLNK(mode) and stat.S_ISLNK(here.st_mode)):
        return False
    if (here.st_uid, here.st_gid, here.st_mtime_ns) != (said.uid, said.gid, said.mod_time):
        return False
    if stat.S_ISLNK(mode):
        return os.readlink(name, dir_fd=folder) == said.linkname
    return not stat.S_ISREG(mode) or here.st_size == said.size


def _remove(folder: int, name: bytes, here: os.stat_result | None) -> None:
    if here is None:
        return
    if stat.S_ISDIR(here.st_mode):
        shutil.rmtree(os.fsdecode(name), dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def _is_taken_over(attribute: str) -> bool:
    return attribute == "security.capability" or attribute.startswith("user.")


def _dress(descriptor: int, said: Stat) -> None:
    """Give a file or folder its owner, mode, attributes and, last, its time."""
    os.fchown(descriptor, said.uid, said.gid)
    os.fchmod(descriptor, stat.S_IMODE(fsutil.to_unix(said.mode)))
    for key, value in said.xattrs.items():
        if _is_taken_over(key):
            with contextlib.suppress(OSError):  # not every filesystem has them
                os.setxattr(descriptor, key, value)
    os.utime(descriptor, ns=(said.mod_time, said.mod_time))
