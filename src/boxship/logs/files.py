"""The files of one log, in the order in which they were written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from struct import unpack_from
from typing import Final, Protocol, cast

from isal import igzip_lib, isal_zlib

from boxship.logs.formats import Format

CHUNK: Final = 128 << 10  # with what is made of it, it fits into a processor's cache
MOST_FILES: Final = 10_000
ATTEMPTS: Final = 10
_DAMAGED: Final = cast(type[Exception], igzip_lib.IsalError)
_GZIP: Final = 31  # window bits that mean: with a gzip header
_GONE: Final = (FileNotFoundError, NotADirectoryError)


class Source(Protocol):
    """One file, read from its start or from where `skip_to` says."""

    def identity(self) -> tuple[int, int]:
        """Return the inode of the file as it was written, and when that was last.

        A file that is compressed gives its inode up, and another file may get it.
        """

    def read(self) -> bytes:
        """Return the next bytes; none at the end, which may move on while it is written."""

    def close(self) -> None: ...


class Plain:
    """A file that is, or was, written to."""

    def __init__(self, fd: int) -> None:
        status = os.fstat(fd)
        self.fd = fd
        self.size = status.st_size  # when it was opened
        self.offset = 0
        self.end: int | None = None  # where to stop, for a reader that does not follow

    def identity(self) -> tuple[int, int]:
        status = os.fstat(self.fd)
        return status.st_ino, status.st_mtime_ns

    def read(self) -> bytes:
        room = CHUNK if self.end is None else min(CHUNK, self.end - self.offset)
        data = os.pread(self.fd, max(room, 0), self.offset)
        self.offset += len(data)
        return data

    def close(self) -> None:
        os.close(self.fd)


class Gzipped:
    """A file that was compressed after its rotation; a damaged one ends where it is damaged."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._inflate = isal_zlib.decompressobj(wbits=_GZIP)
        self._ahead = b""  # read already, and not yet taken
        self._half = b""
        self._identity = _noted_in_head(os.pread(fd, 64, 0))

    def identity(self) -> tuple[int, int]:
        return self._identity

    def read(self) -> bytes:
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        try:
            while not self._inflate.eof:
                packed = self._inflate.unconsumed_tail or os.read(self._fd, CHUNK // 4)
                data: bytes = self._inflate.decompress(packed, CHUNK)
                if data or not packed:
                    return data
        except _DAMAGED:
            pass
        return b""

    def leave_last(self, form: Format, count: int) -> int:
        """Move forward to the last `count` records; return how many they are.

        There is no way to read it backwards: it is read once to count, and once to get there.
        """
        total = sum(form.count(records) for records in self._blocks(form))
        self._rewind()
        surplus = max(total - max(count, 0), 0)
        for records in self._blocks(form):
            here = form.count(records)
            if here > surplus:
                self._ahead = records[form.skip(records, surplus) :] + self._half
                return total if count >= total else count
            surplus -= here
        return 0

    def _blocks(self, form: Format) -> Iterator[bytes]:
        self._half = b""
        while data := self.read():
            data = self._half + data
            end = form.whole(data)
            self._half = data[end:]
            yield data[:end]

    def _rewind(self) -> None:
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._inflate = isal_zlib.decompressobj(wbits=_GZIP)

    def close(self) -> None:
        os.close(self._fd)


def _noted_in_head(head: bytes) -> tuple[int, int]:
    """Return what the shim noted in a gzip header's extra field: inode and time."""
    if len(head) >= 32 and head[3] & 4 and head[12:16] == b"ri\x10\x00":
        inode, written = unpack_from("<QQ", head, 16)
        return inode, written
    return 0, 0


def is_same(one: Plain | Gzipped, other: Plain | Gzipped) -> bool:
    """Tell whether two open files hold the same part of the log."""
    mine, others = one.identity(), other.identity()
    if isinstance(one, Plain) and isinstance(other, Plain):
        return mine[0] == others[0]  # both are open, so neither's inode can be used again
    return mine == others != (0, 0)


def open_all(path: str) -> list[Plain | Gzipped]:
    """Open every file of a log, the oldest first.

    They are opened from the newest back, so that a file which is rotated meanwhile is met twice
    and not missed. Where the newest has changed before all were open, they are opened anew.
    """
    for _ in range(ATTEMPTS):
        sources = list(_newest_first(path))
        if _is_current(path, sources):
            break
        for source in sources:
            source.close()
    else:
        sources = list(_newest_first(path))
    sources.reverse()
    return sources


def _is_current(path: str, newest_first: Sequence[Plain | Gzipped]) -> bool:
    try:
        inode = os.stat(path).st_ino
    except FileNotFoundError:
        return True
    return bool(newest_first) and newest_first[0].identity()[0] == inode


def _newest_first(path: str) -> Iterator[Plain | Gzipped]:
    last: Plain | Gzipped | None = None
    for number in range(MOST_FILES):
        source = _open(path if number == 0 else f"{path}.{number}", compressed=number > 0)
        if source is None:
            if number:
                return
        elif last and is_same(source, last):
            source.close()
        else:
            last = source
            yield source


def _open(path: str, *, compressed: bool) -> Plain | Gzipped | None:
    with suppress(*_GONE):
        return Plain(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    if compressed:
        with suppress(*_GONE):
            return Gzipped(os.open(f"{path}.gz", os.O_RDONLY | os.O_CLOEXEC))
    return None
