"""Content by digest, as it arrived.

    <root>/sha256/<64 hex digits>   one file for each blob, mode 0600, never changed
    <root>/sha256/<...>.pieces      a blob that has much in common with another: see `assembly`
    <root>/ingest/<random>          what is arriving; gone when the process is
    <root>/partial/<64 hex digits>  what came of a download that broke off

A blob is written beside, checked, and renamed; a thread then brings it to the disk while others
arrive. Whoever records that something points here calls `flush` first, which waits for that.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial

from boxship.content.assembly import Assembly
from boxship.content.errors import NoSuchBlob, WrongContent
from boxship.content.ingest import CHUNK, GATHERED, Ingest
from boxship.content.partial import Begun, Partials
from boxship.content.pieced import Pieced
from boxship.content.states import StatesOfBlobs
from boxship.lib.atomicfile import sync_folder
from boxship.lib.beside import gathered
from boxship.lib.filepart import FilePart
from boxship.lib.strictjson import SIZE as DOCUMENT_LIMIT
from boxship.spec.digest import HEX_DIGITS, Digest


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
        self.partials = Partials(os.path.join(root, "partial"))
        self._turn = threading.Lock()
        self._held: Counter[Digest] = Counter()
        self._flushing: dict[Digest, Future[None]] = {}
        self._flusher = ThreadPoolExecutor(1, "flush")
        self._pieced = Pieced(self._folder)
        self._joining = threading.Lock()
        self._states = StatesOfBlobs()

    def path(self, digest: Digest) -> str:
        """Return where `digest` is, or would be."""
        return os.path.join(self._folder, digest.hex)

    def has(self, digest: Digest) -> bool:
        """Whether the store holds `digest`."""
        return digest in self._pieced or self.has_whole(digest)

    def has_whole(self, digest: Digest) -> bool:
        """Whether the store holds `digest` in one file."""
        return os.path.exists(self.path(digest))

    def size(self, digest: Digest) -> int:
        """Return how many bytes `digest` is."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            return self._pieced.size(digest)

    def open(self, digest: Digest) -> int:
        """Return a descriptor to read `digest` from; its content is not checked again.

        What is in pieces is made whole for that.
        """
        if digest in self._pieced:
            self._join(digest)
        try:
            return os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchBlob(digest) from None

    def _join(self, digest: Digest) -> None:
        with self._joining:
            if not self.has_whole(digest):
                with self.arriving() as ingest:
                    ingest.take(gathered(self._pieced.chunks(digest), GATHERED))
                    if ingest.digest != digest:
                        raise WrongContent(f"content {digest} is damaged")
                    _flush(ingest.place(self.path(digest)))
                sync_folder(self._folder)
            self._pieced.drop(digest)

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        """Yield the content of `digest`."""
        if digest in self._pieced:
            yield from self._pieced.chunks(digest)
            return
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
            self._let_go(lease)

    def _let_go(self, lease: Lease) -> None:
        with self._turn:
            self._held -= Counter(lease.held)

    def hold(self, lease: Lease, digest: Digest) -> None:
        """Keep `digest` for as long as `lease` goes on."""
        with self._turn:
            if digest not in lease.held:
                lease.held.add(digest)
                self._held[digest] += 1

    def begun(self, digest: Digest) -> AbstractContextManager[Begun]:
        """What an earlier download has left of a blob, for this one to go on with."""
        return self.partials.begun(digest, self._fresh())

    def _fresh(self) -> str:
        return os.path.join(self._arriving, secrets.token_hex(8))

    @contextmanager
    def arriving(self, *, limit: int | None = None, begun: Begun | None = None) -> Iterator[Ingest]:
        """A blob to write to and then to `commit`; without that it is dropped."""
        ingest = Ingest(begun.path if begun else self._fresh(), limit, begun)
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

    def assembling(
        self, base: Digest | None = None, *, unwanted: threading.Event | None = None
    ) -> Assembly:
        """Begin a blob that is put together; `commit_assembled` it, and drop it in any case.

        The base stays until then. Once it is `unwanted` its threads stop.
        """
        path = os.path.join(self._arriving, secrets.token_hex(8))
        if base is None:
            return Assembly(path, unwanted=unwanted)
        lease = Lease(self)
        lease.hold(base)
        try:
            then, states = partial(self._let_go, lease), self._states.of(base)
            return Assembly(path, base, then, self.open(base), states)
        except BaseException:
            self._let_go(lease)
            raise

    def commit_assembled(self, assembly: Assembly, lease: Lease) -> Digest:
        """Put in place what has been put together."""
        digest = assembly.finish()
        lease.hold(digest)
        if assembly.base is None:
            self._states.keep(digest, assembly.states)
        if self.has(digest):
            return digest
        if assembly.base is None:
            file = assembly.place(self.path(digest))
        else:
            lease.hold(assembly.base)
            file = assembly.place(self._pieced.path(digest))
            self._pieced.add(digest, assembly.base)
        self._flushing[digest] = self._flusher.submit(_flush, file)
        return digest

    def assemble(self, parts: Iterable[bytes | FilePart], lease: Lease) -> Digest:
        """Take in a whole blob; the files in it are hashed and copied by threads."""
        with self.assembling() as assembly:
            assembly.take(parts)
            return self.commit_assembled(assembly, lease)

    def bases(self, digests: Iterable[Digest]) -> set[Digest]:
        """Return what these are in pieces of: it has to stay with them."""
        return self._pieced.bases(digests)

    def put(self, data: bytes, lease: Lease) -> Digest:
        """Take in a document, unless it is here."""
        digest = Digest.of(data)
        lease.hold(digest)
        return digest if self.has(digest) else self.ingest((data,), lease)

    def flushing(self, digests: Iterable[Digest]) -> bool:
        """Whether any of these has not been flushed since it came."""
        return any(digest in self._flushing for digest in digests)

    def flush(self, digests: Iterable[Digest]) -> None:
        """Return when these blobs have reached the disk, with their names."""
        wanted = set(digests)
        wanted |= self.bases(wanted)
        for digest in wanted:
            if (flushing := self._flushing.get(digest)) is not None:
                flushing.result()
        sync_folder(self._folder)
        for digest in wanted:
            self._flushing.pop(digest, None)

    def delete(self, digest: Digest) -> bool:
        """Remove a blob, unless an operation holds it or one in pieces needs it.

        Say whether it is gone.
        """
        with self._turn:
            if self._held[digest] > 0 or digest in self.bases(self._pieced):
                return False
            del self._held[digest]
            self._flushing.pop(digest, None)
            self._pieced.drop(digest)
            with suppress(FileNotFoundError):
                os.unlink(self.path(digest))
            return True

    def digests(self) -> Iterator[Digest]:
        """Yield what the store holds."""
        pieced = {digest.hex for digest in self._pieced}
        for name in os.listdir(self._folder):
            if len(name) == HEX_DIGITS and name not in pieced:
                yield Digest("sha256:" + name)
        yield from (Digest("sha256:" + name) for name in pieced)

    def collect(self, wanted: Collection[Digest]) -> int:
        """Remove all that is neither wanted nor held; return how many bytes that freed."""
        freed = self.partials.prune()
        bases = self.bases(self._pieced)  # these go after what is in pieces of them
        for digest in sorted(self.digests(), key=bases.__contains__):
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
