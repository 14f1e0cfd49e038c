"""Content by digest, as it arrived.

    <root>/sha256/<64 hex digits>   one file for each blob, mode 0600, never changed
    <root>/ingest/<random>          what is arriving; gone when the process is

A blob is written beside, checked, and renamed; a thread then brings it to the disk while others
arrive. Whoever records that something points here calls `flush` first, which waits for that.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Final

from boxship.content.errors import NoSuchBlob, WrongContent
from boxship.lib.atomicfile import sync_folder
from boxship.lib.beside import Beside, gathered
from boxship.lib.pipe import Abandoned
from boxship.lib.strictjson import SIZE as DOCUMENT_LIMIT
from boxship.spec.digest import HEX_DIGITS, Digest

CHUNK: Final = 1 << 18
FOLLOWED: Final = 4 << 20  # so many bytes are worth waking up for
GATHERED: Final = 1 << 19  # so many bytes are hashed and written at a time


class Ingest:
    """A blob that is arriving; it is put in place by `commit`, and dropped by `close`."""

    def __init__(self, path: str, limit: int | None) -> None:
        self._path = path
        self._limit = limit
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._hash = hashlib.sha256()
        self._followers: list[Follower] = []
        self.size = 0
        self.whole = False

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.size += len(data)
        if self._limit is not None and self.size > self._limit:
            raise WrongContent(f"content is larger than the {self._limit} bytes announced")
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        for follower in self._followers:
            follower.grown(self.size)

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
        with Beside(self.write) as beside:
            beside.put(first)
            for piece in pieces:
                beside.put(piece)

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


class Lease:
    """Keeps what an operation has brought or needs from being collected while it goes on."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self.held: set[Digest] = set()

    def hold(self, digest: Digest) -> None:
        """Keep `digest`, whether it is there yet or not."""
        self._blobs.hold(self, digest)


class Blobs:
    """The content store; safe to use from any thread."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._folder = os.path.join(root, "sha256")
        self._arriving = os.path.join(root, "ingest")
        shutil.rmtree(self._arriving, ignore_errors=True)
        for folder in (root, self._folder, self._arriving):
            os.makedirs(folder, 0o700, exist_ok=True)
        self._turn = threading.Lock()
        self._held: Counter[Digest] = Counter()
        self._flushing: dict[Digest, Future[None]] = {}
        self._flusher = ThreadPoolExecutor(1, "flush")

    def path(self, digest: Digest) -> str:
        """Return where `digest` is, or would be."""
        return os.path.join(self._folder, digest.hex)

    def has(self, digest: Digest) -> bool:
        """Whether the store holds `digest`."""
        return os.path.exists(self.path(digest))

    def size(self, digest: Digest) -> int:
        """Return how many bytes `digest` is."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise NoSuchBlob(digest) from None

    def open(self, digest: Digest) -> int:
        """Return a descriptor to read `digest` from; its content is not checked again."""
        try:
            return os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchBlob(digest) from None

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        """Yield the content of `digest`."""
        file = self.open(digest)
        try:
            while chunk := os.read(file, CHUNK):
                yield chunk
        finally:
            os.close(file)

    def read(self, digest: Digest, limit: int = DOCUMENT_LIMIT) -> bytes:
        """Return a document whole, and make sure that it still is what its digest says."""
        if self.size(digest) > limit:
            raise WrongContent(f"content {digest} is larger than {limit} bytes")
        data = b"".join(self.chunks(digest))
        if Digest.of(data) != digest:
            raise WrongContent(f"content {digest} is damaged")
        return data

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """What is ingested under a lease, or held by it, stays until its block ends."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            with self._turn:
                self._held -= Counter(lease.held)

    def hold(self, lease: Lease, digest: Digest) -> None:
        """Keep `digest` for as long as `lease` goes on."""
        with self._turn:
            if digest not in lease.held:
                lease.held.add(digest)
                self._held[digest] += 1

    @contextmanager
    def arriving(self, *, limit: int | None = None) -> Iterator[Ingest]:
        """A blob to write to and then to `commit`; without that it is dropped."""
        ingest = Ingest(os.path.join(self._arriving, secrets.token_hex(8)), limit)
        try:
            yield ingest
        finally:
            ingest.close()

    def commit(
        self,
        ingest: Ingest,
        lease: Lease,
        *,
        expected: Digest | None = None,
        size: int | None = None,
    ) -> Digest:
        """Put in place what has arrived, if it is what was expected."""
        if size is not None and ingest.size != size:
            raise WrongContent(f"content has {ingest.size} bytes, not the {size} announced")
        digest = ingest.digest
        if expected is not None and digest != expected:
            raise WrongContent(f"content has the digest {digest}, not {expected}")
        lease.hold(digest)
        ingest.whole = True
        if not self.has(digest):
            file = ingest.place(self.path(digest))
            self._flushing[digest] = self._flusher.submit(_flush, file)
        return digest

    def ingest(
        self,
        pieces: Iterable[bytes | memoryview],
        lease: Lease,
        *,
        expected: Digest | None = None,
        size: int | None = None,
    ) -> Digest:
        """Take in a whole blob."""
        with self.arriving(limit=size) as ingest:
            ingest.take(gathered(pieces, GATHERED))
            return self.commit(ingest, lease, expected=expected, size=size)

    def put(self, data: bytes, lease: Lease) -> Digest:
        """Take in a document."""
        return self.ingest((data,), lease)

    def flush(self, digests: Iterable[Digest]) -> None:
        """Return when these blobs have reached the disk, with their names."""
        for digest in digests:
            if (flushing := self._flushing.get(digest)) is not None:
                flushing.result()
                self._flushing.pop(digest, None)
        sync_folder(self._folder)

    def delete(self, digest: Digest) -> bool:
        """Remove a blob, unless an operation holds it; say whether it is gone."""
        with self._turn:
            if self._held[digest] > 0:
                return False
            del self._held[digest]
            self._flushing.pop(digest, None)
            with suppress(FileNotFoundError):
                os.unlink(self.path(digest))
            return True

    def digests(self) -> Iterator[Digest]:
        """Yield what the store holds."""
        for name in os.listdir(self._folder):
            if len(name) == HEX_DIGITS:
                yield Digest("sha256:" + name)

    def collect(self, wanted: Collection[Digest]) -> int:
        """Remove all that is neither wanted nor held; return how many bytes that freed."""
        freed = 0
        for digest in self.digests():
            if digest not in wanted:
                with suppress(NoSuchBlob):
                    size = self.size(digest)
                    freed += size if self.delete(digest) else 0
        return freed


def _flush(file: int) -> None:
    try:
        os.fdatasync(file)
    finally:
        os.close(file)
