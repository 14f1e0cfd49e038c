"""A log as files: the newest under its own name, older ones as .1, .2 ..., perhaps gzipped.

Only whole records reach a file: what a full disk cut off is taken back, and what a crash left
half is removed before the next record. A rotated file is never changed again, only replaced by
its compressed form, whose gzip header says in an extra field ("ri", twice 8 bytes LE) which inode
it was and when it was last written, in nanoseconds: a reader that follows finds its place by that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from io import FileIO
from struct import pack
from typing import Final, Protocol

from isal import isal_zlib

from boxship.wire import locallog

COMPRESS_AT_ONCE: Final = 256 << 10
_RAW_DEFLATE: Final = -15
_TAIL: Final = 1 << 20

# Where the first record that ends at or after an offset does end.
Boundary = Callable[[bytes, int], int]


class Framing(Protocol):
    """How a format's records can be told apart in bytes."""

    def record_end(self, data: bytes, offset: int) -> int:
        """Return the end of the first record of `data` that ends at or after `offset`."""

    def whole(self, fd: int, size: int) -> int:
        """Return how many bytes of a file are whole records, when a crash may have cut it."""


class JsonFraming:
    """Records end with a newline."""

    def record_end(self, data: bytes, offset: int) -> int:
        return data.index(b"\n", max(offset - 1, 0)) + 1

    def whole(self, fd: int, size: int) -> int:
        tail = os.pread(fd, _TAIL, max(size - _TAIL, 0))
        return size - len(tail) + tail.rfind(b"\n") + 1


class LocalFraming:
    """Records have their size on both sides."""

    def record_end(self, data: bytes, offset: int) -> int:
        end = 0
        while end < offset:
            end += locallog.SIZE.unpack_from(data, end)[0] + 2 * locallog.SIZE.size
        return end

    def whole(self, fd: int, size: int) -> int:
        if self._ends_well(fd, size):
            return size
        at = 0
        while len(head := os.pread(fd, 4, at)) == 4:
            end = at + locallog.SIZE.unpack(head)[0] + 2 * locallog.SIZE.size
            if end > size:
                break
            at = end
        return at

    def _ends_well(self, fd: int, size: int) -> bool:
        last = os.pread(fd, 4, max(size - 4, 0))
        start = size - 2 * locallog.SIZE.size - int.from_bytes(last, "big")
        return start >= 0 and os.pread(fd, 4, start) == last


class LogFile:
    """Appends records and rotates. `lost` counts the bytes that the disk did not take."""

    def __init__(
        self, path: str, framing: Framing, *, max_size: int, max_file: int, compress: bool
    ) -> None:
        self._path = path
        self._framing = framing
        self._max_size = self._full_at = max_size
        self._max_file = max(max_file, 1)
        self._compress = compress and max_file > 1
        self._compressing: Compression | None = None
        self.lost = 0
        self._fd = os.open(path, _FLAGS, 0o640)
        self._size = self._mend()

    def _mend(self) -> int:
        """Remove what a crash left of a record; return the size."""
        size = os.fstat(self._fd).st_size
        whole = self._framing.whole(self._fd, size) if size else 0
        if whole != size:
            os.ftruncate(self._fd, whole)
        return whole

    def write(self, records: bytes) -> None:
        """Append whole records. A file may exceed the largest size by less than one record."""
        if not self._max_size:
            self._append(records)
            return
        while records:
            room = self._full_at - self._size
            if room <= 0:
                self._rotate()
                continue
            fits = room >= len(records)
            end = len(records) if fits else self._framing.record_end(records, room)
            self._append(records[:end])
            records = records[end:]

    def _append(self, records: bytes) -> None:
        written = 0
        try:
            while written < len(records):
                written += os.write(self._fd, records[written:] if written else records)
        except OSError:
            # The disk is full. No half record stays.
            self.lost += len(records)
            if written:
                os.ftruncate(self._fd, self._size)
            return
        self._size += written

    def _rotate(self) -> None:
        """Give every file the next number, and begin a new one; the oldest goes."""
        try:
            self._shift()
            fd = os.open(self._path, _FLAGS, 0o640)
        except OSError:
            self._full_at = self._size + self._max_size  # not possible now; try again later
            return
        old, self._fd, self._size, self._full_at = self._fd, fd, 0, self._max_size
        os.close(old)

    def _shift(self) -> None:
        if self._max_file == 1:
            os.unlink(self._path)
            return
        self.stop_compressing()
        last = self._last()
        for ending in _ENDINGS:
            if last == self._max_file - 1:
                _unlink(f"{self._path}.{last}{ending}")
            for number in range(min(last, self._max_file - 2), 0, -1):
                _rename(f"{self._path}.{number}{ending}", f"{self._path}.{number + 1}{ending}")
        os.rename(self._path, f"{self._path}.1")
        if self._compress:
            self._compressing = Compression(f"{self._path}.1")

    def _last(self) -> int:
        """Return the number of the oldest file; many more may be asked for than there are."""
        last = 0
        while last < self._max_file - 1 and any(
            os.path.exists(f"{self._path}.{last + 1}{ending}") for ending in _ENDINGS
        ):
            last += 1
        return last

    @property
    def has_more(self) -> bool:
        """Whether something is to be compressed."""
        return self._compressing is not None

    def step(self) -> bool:
        """Compress a little of what was rotated; False when nothing is left to do."""
        if self._compressing and not self._compressing.step():
            self._compressing = None
        return self._compressing is not None

    def stop_compressing(self) -> None:
        """Leave what is being compressed as it is: a plain file is read as well."""
        if self._compressing:
            self._compressing.abandon()
            self._compressing = None

    def close(self) -> None:
        self.stop_compressing()
        os.close(self._fd)


_ENDINGS: Final = ("", ".gz")
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Compression:
    """Turns a rotated file into its .gz, a bit at a time."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._source = FileIO(path, "rb")
        status = os.fstat(self._source.fileno())
        try:
            self._target = FileIO(f"{path}.gz.new", "wb")
        except OSError:
            self._source.close()
            raise
        self._deflate = isal_zlib.compressobj(1, wbits=_RAW_DEFLATE)
        self._check = 0
        self._size = 0
        self._write(_gzip_head(status.st_ino, status.st_mtime_ns))

    def step(self) -> bool:
        """Do the next part; False when it is finished or has failed."""
        try:
            piece = self._source.read(COMPRESS_AT_ONCE)
            if piece:
                self._check = isal_zlib.crc32(piece, self._check)
                self._size += len(piece)
                self._write(self._deflate.compress(piece))
                return True
            self._write(self._deflate.flush() + pack("<II", self._check, self._size & 0xFFFFFFFF))
            os.rename(f"{self._path}.gz.new", f"{self._path}.gz")
            os.unlink(self._path)
        except OSError:
            self.abandon()
            return False
        self._close()
        return False

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._target.write(view) :]

    def abandon(self) -> None:
        """Remove the unfinished file."""
        self._close()
        _unlink(f"{self._path}.gz.new")

    def _close(self) -> None:
        self._source.close()
        self._target.close()


def _gzip_head(inode: int, written: int) -> bytes:
    extra = pack("<2sHQQ", b"ri", 16, inode, written)
    seconds = written // 1_000_000_000 & 0xFFFFFFFF
    return pack("<BBBBIBBH", 0x1F, 0x8B, 8, 4, seconds, 4, 255, len(extra)) + extra


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _rename(old: str, new: str) -> None:
    try:
        os.rename(old, new)
    except FileNotFoundError:
        pass
