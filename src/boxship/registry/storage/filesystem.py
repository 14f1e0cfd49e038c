"""Keys as files below one folder.

A file is written beside its name and renamed; it and every folder whose entries changed are
flushed. So what a crash or a power cut leaves is whole, or is not there, or is a `*.new` that
collection removes.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import shutil
from collections.abc import Iterator
from typing import BinaryIO, Final

from boxship.lib.atomicfile import sync_folder
from boxship.registry.errors import StorageUnavailable
from boxship.registry.storage.driver import NoSuchKey, Stat

NEW: Final = ".new"
SMALL: Final = 64 << 20
ABSENT: Final = (FileNotFoundError, NotADirectoryError)
FULL: Final = {
    errno.ENOSPC: "no space left on device",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EIO: "the disk does not answer properly",
}


class FileContent:
    """A file that is open for reading."""

    def __init__(self, file: BinaryIO) -> None:
        self.file: BinaryIO | None = file
        self._descriptor = file.fileno()
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, count: int) -> bytes:
        return os.pread(self._descriptor, count, offset)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


class Filesystem:
    """Keeps bytes below a folder."""

    local = True

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        # Whoever writes here has the folder to itself: other marks are of processes that are gone.
        self._mark = secrets.token_hex(4)
        self._numbers = itertools.count()
        os.makedirs(self.root, mode=0o755, exist_ok=True)

    def read(self, key: str) -> bytes:
        try:
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except ABSENT:
            raise NoSuchKey(key) from None
        try:
            return os.read(descriptor, SMALL)
        except IsADirectoryError:
            raise NoSuchKey(key) from None
        finally:
            os.close(descriptor)

    def stat(self, key: str) -> Stat | None:
        try:
            found = os.stat(self._path(key))
        except ABSENT:
            return None
        return Stat(found.st_size, found.st_mtime)

    def open(self, key: str) -> FileContent:
        try:
            return FileContent(open(self._path(key), "rb", buffering=0))
        except (*ABSENT, IsADirectoryError):
            raise NoSuchKey(key) from None

    def write(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with _telling_what_is_full():
            changed = self._make_folder(os.path.dirname(path))
            beside = f"{path}.{self._mark}.{next(self._numbers)}{NEW}"
            try:
                with open(beside, "xb", buffering=0) as file:
                    view = memoryview(data)
                    while view:
                        view = view[file.write(view) :]
                    os.fsync(file.fileno())
                os.rename(beside, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(beside)
                raise
            self._sync(path, changed)

    def adopt(self, path: str, key: str) -> None:
        target = self._path(key)
        with _telling_what_is_full():
            _flush(path)
            changed = self._make_folder(os.path.dirname(target))
            os.rename(path, target)
            self._sync(target, changed)

    def names(self, key: str) -> list[str]:
        try:
            found = os.listdir(self._path(key))
        except ABSENT:
            return []
        return sorted(name for name in found if not name.endswith(NEW))

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            os.unlink(path)
        except ABSENT:
            return
        except (IsADirectoryError, PermissionError):
            # Renamed first: a crash half way leaves nothing that looks like a part of the tree.
            gone = f"{path}.{self._mark}.{next(self._numbers)}{NEW}"
            try:
                os.rename(path, gone)
            except ABSENT:
                return
            shutil.rmtree(gone)
        with contextlib.suppress(*ABSENT):
            sync_folder(os.path.dirname(path))

    def touch(self, key: str) -> None:
        with contextlib.suppress(*ABSENT):
            os.utime(self._path(key))

    def location(self, key: str) -> str | None:
        return None

    def leftovers(self, age: float) -> Iterator[tuple[str, int]]:
        for folder, folders, files in os.walk(self.root):
            for name in [*files, *folders]:
                if name.endswith(NEW) and f".{self._mark}." not in name:
                    path = f"{folder}/{name}"
                    with contextlib.suppress(*ABSENT):
                        yield os.path.relpath(path, self.root), os.lstat(path).st_size
            folders[:] = [name for name in folders if not name.endswith(NEW)]

    def spool(self) -> str:
        return self.root

    def free(self) -> int | None:
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize

    def _path(self, key: str) -> str:
        return f"{self.root}/{key}"

    def _make_folder(self, folder: str) -> list[str]:
        """Make a folder and those above it; return those that have a new entry by it.

        A collection may remove an empty folder in between: then it is made again.
        """
        changed: list[str] = []
        missing = [folder]
        while missing:
            try:
                os.mkdir(missing[-1], 0o755)
            except FileExistsError:
                missing.pop()
            except FileNotFoundError:
                missing.append(os.path.dirname(missing[-1]))
            else:
                changed.append(os.path.dirname(missing.pop()))
        return changed

    def _sync(self, path: str, changed: list[str]) -> None:
        sync_folder(os.path.dirname(path))
        for folder in changed:
            sync_folder(folder)


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _telling_what_is_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageUnavailable(f"cannot store: {FULL[error.errno or 0]}") from error
        raise
