"""A blob that is arriving: hashed and written as it comes, and read meanwhile by who follows it."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final

from boxship.content.errors import WrongContent
from boxship.content.partial import Begun
from boxship.content.writeback import Writeback
from boxship.lib.beside import Helper
from boxship.lib.pipe import Abandoned
from boxship.spec.digest import Digest

CHUNK: Final = 1 << 18
FOLLOWED: Final = 4 << 20  # so many bytes are worth waking up for
GATHERED: Final = 1 << 19  # so many bytes are hashed and written at a time
AHEAD: Final = 8  # so many pieces wait for that at most


class Ingest:
    """A blob that is arriving; it is put in place by `commit`, and dropped by `close`."""

    def __init__(self, path: str, limit: int | None, begun: Begun | None = None) -> None:
        """With `begun` it goes on with what is there, once `earlier` has been read."""
        self._path = path
        self._limit = limit
        self._begun = begun
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(path, flags if begun and begun.lasts else flags | os.O_EXCL, 0o600)
        self._hash = hashlib.sha256()
        self._writeback = Writeback()
        self._followers: list[Follower] = []
        self.size = 0
        self.whole = False
        self.keep = False  # what has come so far is worth going on with

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.size += len(data)
        if self._limit is not None and self.size > self._limit:
            raise WrongContent(f"content is larger than the {self._limit} bytes announced")
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._writeback.reached(self._file, self.size)
        for follower in self._followers:
            follower.grown(self.size)

    def earlier(self) -> Iterator[bytes]:
        """Yield what was there of it before, hashed; more can be written after that."""
        size = self._begun.size if self._begun else 0
        while self.size < size:
            piece = os.read(self._file, min(CHUNK, size - self.size))
            if not piece:
                raise WrongContent("what was kept of the content is shorter than it was")
            self.size += len(piece)
            self._hash.update(piece)
            yield piece
        os.ftruncate(self._file, size)

    def follow(self) -> Follower:
        """Return what reads the blob from its start while it arrives, for another thread."""
        follower = Follower(os.dup(self._file), self.size)
        self._followers.append(follower)
        return follower

    def take(self, pieces: Iterator[bytes]) -> None:
        """Take all there is; what is long is hashed and written while more of it is made."""
        first = next(pieces, b"")
        if len(first) < GATHERED:
            self.write(first)
            return
        with Helper(AHEAD) as writer:
            writer.do(partial(self.write, first))
            for piece in pieces:
                writer.do(partial(self.write, piece))

    @property
    def digest(self) -> Digest:
        """What has arrived so far is called this."""
        return Digest("sha256:" + self._hash.hexdigest())

    def close(self) -> None:
        """Drop it, unless it has been put in place."""
        for follower in self._followers:
            follower.end(self.size, whole=self.whole)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            if not (self.keep and self._begun and self._begun.lasts):
                if self._begun:
                    self._begun.size = 0
                with suppress(FileNotFoundError):
                    os.unlink(self._path)

    def place(self, path: str) -> int:
        """Give it its name; return its descriptor, which is the caller's now."""
        os.rename(self._path, path)
        file, self._file = self._file, -1
        return file


class Follower:
    """A blob as it arrives, read once; what is dropped before its end is Abandoned."""

    def __init__(self, file: int, size: int) -> None:
        self._file = file
        self._size = size
        self._worth = 0
        self._ended = False
        self._whole = False
        self._changed = threading.Condition()

    def grown(self, size: int) -> None:
        """Note that there is more; who waits is woken when it is worth it."""
        with self._changed:
            self._size = size
            if size >= self._worth:
                self._changed.notify()

    def end(self, size: int, *, whole: bool) -> None:
        """Note that there will be no more; `whole` says that it is what it should be."""
        with self._changed:
            self._size, self._ended, self._whole = size, True, whole
            self._changed.notify()

    def __iter__(self) -> Iterator[bytes]:
        """Yield what there is, and wait for the rest."""
        at = 0
        while end := self._more(at):
            while at < end:
                piece = os.pread(self._file, min(CHUNK, end - at), at)
                if not piece:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                at += len(piece)
                yield piece

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _more(self, at: int) -> int:
        """Return up to where there is something; 0 at the end."""
        with self._changed:
            self._worth = at + FOLLOWED
            self._changed.wait_for(lambda: self._ended or self._size >= self._worth)
            if self._ended and not self._whole:
                raise Abandoned
            return self._size if self._size > at else 0
