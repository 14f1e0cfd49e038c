"""Blobs that are not finished: local files that grow, and become blobs when their digest is right.

The file is the truth: after a crash an upload goes on where the file ends. What has been hashed is
known only to the process that received it; another reads the file again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import threading
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from boxship.lib import moments
from boxship.registry import layout
from boxship.registry.blobs import Blobs
from boxship.registry.errors import (
    DigestInvalid,
    StorageUnavailable,
    UploadBusy,
    UploadUnknown,
)
from boxship.registry.names import Digest, Name
from boxship.registry.storage.filesystem import FULL

if TYPE_CHECKING:
    from hashlib import _Hash

REMEMBERED: Final = 4096  # uploads whose hash is kept in memory
TURN: Final = 10.0  # seconds to wait for another request that writes to the same upload
PIECE: Final = 1 << 20
IDENTIFIER: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
Clock = Callable[[], float]


@dataclass(slots=True)
class Upload:
    """One blob on its way. `hasher` has seen the first `size` bytes, or is None."""

    id: str
    repository: Name
    path: str
    size: int
    hasher: _Hash | None
    algorithm: str = "sha256"
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def append(self, pieces: Sequence[bytes]) -> None:
        """Write what has arrived, wholly or not at all."""
        count = sum(map(len, pieces))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            _write_all(descriptor, pieces, self.size)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, self.size)
            if error.errno in FULL:
                raise StorageUnavailable(f"cannot store: {FULL[error.errno or 0]}") from error
            raise
        finally:
            os.close(descriptor)
        if self.hasher is not None:
            for piece in pieces:
                self.hasher.update(piece)
        self.size += count

    def mark(self) -> Callable[[], None]:
        """Return what takes the upload back to where it is now."""
        size, hasher = self.size, self.hasher.copy() if self.hasher is not None else None

        def back() -> None:
            os.truncate(self.path, size)
            self.size, self.hasher = size, hasher

        return back

    def digest(self, algorithm: str) -> Digest:
        """Work out the digest of all that has arrived."""
        if self.hasher is None or self.hasher.name != algorithm:
            self.hasher = _hash_file(self.path, algorithm)
        return Digest(f"{algorithm}:{self.hasher.hexdigest()}")


class Uploads:
    """All uploads of one server."""

    def __init__(self, spool: str, blobs: Blobs, now: Clock) -> None:
        self._spool = spool
        self._blobs = blobs
        self._now = now
        self._remembered: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, name: Name, algorithm: str = "sha256") -> Upload:
        """Start an upload."""
        identity = str(uuid.uuid4())
        folder = self._folder(name, identity)
        path = f"{folder}/data"
        os.makedirs(folder, mode=0o755)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
            with open(f"{folder}/startedat", "w", encoding="ascii") as file:
                file.write(moments.show(int(self._now()) * 1_000_000_000))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        hasher = Digest(f"{algorithm}:").hasher()
        upload = Upload(identity, name, path, 0, hasher, algorithm)
        with self._lock:
            self._remember(upload)
        return upload

    def find(self, name: Name, identity: str) -> Upload:
        """Return an upload of a repository; UploadUnknown."""
        if not IDENTIFIER.fullmatch(identity):
            raise UploadUnknown(identity[:100])
        path = f"{self._folder(name, identity)}/data"
        try:
            size = os.stat(path).st_size
        except (FileNotFoundError, NotADirectoryError):
            self._remembered.pop(identity, None)
            raise UploadUnknown(identity) from None
        with self._lock:
            upload = self._remembered.get(identity)
            if upload is None or upload.repository != name:
                upload = Upload(identity, name, path, size, None)
            self._remember(upload)
        return upload

    @asynccontextmanager
    async def turn(self, upload: Upload) -> AsyncIterator[Upload]:
        """Be the only one who writes to an upload; UploadBusy when another does not end."""
        try:
            async with asyncio.timeout(TURN):
                await upload.turn.acquire()
        except TimeoutError:
            raise UploadBusy from None
        try:
            if self._remembered.get(upload.id) is not upload:
                raise UploadUnknown(upload.id)  # the one before has finished or cancelled it
            yield upload
        finally:
            upload.turn.release()

    def finish(self, upload: Upload, digest: Digest) -> None:
        """Make an upload a blob; DigestInvalid, and the upload is gone, when it is another's."""
        try:
            found = upload.digest(digest.algorithm)
            if found != digest:
                self.cancel(upload)
                raise DigestInvalid(
                    "provided digest did not match uploaded content",
                    {"provided": digest, "found": found},
                )
            self._blobs.add(upload.repository, digest, upload.path, upload.size)
        except OSError as error:
            if error.errno in FULL:
                raise StorageUnavailable(f"cannot store: {FULL[error.errno or 0]}") from error
            raise
        self.cancel(upload)

    def cancel(self, upload: Upload) -> None:
        """Forget an upload and its bytes."""
        self._remembered.pop(upload.id, None)
        shutil.rmtree(os.path.dirname(upload.path), ignore_errors=True)

    def abandoned(self, age: float) -> Iterator[tuple[Name, str, float]]:
        """Yield repository, ID and age of uploads that nothing was written to for `age` seconds."""
        now = self._now()
        top = f"{self._spool}/{layout.REPOSITORIES}"
        for folder, folders, _ in os.walk(top):
            if "_uploads" in folders:
                for identity in sorted(os.listdir(f"{folder}/_uploads")):
                    with contextlib.suppress(OSError):
                        idle = now - _last_write(f"{folder}/_uploads/{identity}")
                        if idle > age:
                            yield Name(os.path.relpath(folder, top)), identity, idle
            folders[:] = [name for name in folders if name[0] != "_"]

    def purge(self, name: Name, identity: str) -> None:
        """Remove an abandoned upload, unless a request is writing to it."""
        upload = self._remembered.get(identity)
        if upload is not None and upload.turn.locked():
            return
        self._remembered.pop(identity, None)
        shutil.rmtree(f"{self._spool}/{layout.upload(name, identity)}", ignore_errors=True)

    @property
    def active(self) -> int:
        """How many uploads somebody is writing to."""
        return sum(one.turn.locked() for one in list(self._remembered.values()))

    def _folder(self, name: Name, identity: str) -> str:
        return f"{self._spool}/{layout.upload(name, identity)}"

    def _remember(self, upload: Upload) -> None:
        """Keep an upload in mind; the lock is held."""
        self._remembered[upload.id] = upload
        self._remembered.move_to_end(upload.id)
        if len(self._remembered) > REMEMBERED:
            idle = (one.id for one in self._remembered.values() if not one.turn.locked())
            if (oldest := next(idle, None)) is not None:
                del self._remembered[oldest]


def _write_all(descriptor: int, pieces: Sequence[bytes], offset: int) -> None:
    views = [memoryview(piece) for piece in pieces]
    while views:
        wrote = os.pwritev(descriptor, views[:512], offset)
        offset += wrote
        while views and wrote >= len(views[0]):
            wrote -= len(views.pop(0))
        if wrote:
            views[0] = views[0][wrote:]


def _hash_file(path: str, algorithm: str) -> _Hash:
    hasher = Digest(f"{algorithm}:").hasher()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(PIECE):
            hasher.update(piece)
    return hasher


def _last_write(folder: str) -> float:
    times = [os.stat(folder).st_mtime]
    with contextlib.suppress(OSError):
        times.append(os.stat(f"{folder}/data").st_mtime)
    return max(times)
