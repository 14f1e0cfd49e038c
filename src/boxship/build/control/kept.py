"""What is kept of builds on disk, so that they are remembered when the daemon starts again.

<root>/records/<digest of the ref>    a build's record, as BuildKit's message
<root>/blobs/<digest>                 what records point to: progress, provenance, failures

Blobs first, then the record; what no record points to is removed at the next start. A file that
a power cut has spoilt is passed over.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from boxship.content.errors import NoSuchBlob
from boxship.lib import atomicfile
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.digest import Digest

log = logging.getLogger(__name__)

STATUS: Final = "application/vnd.buildkit.status.v0"
FAILURE: Final = "application/vnd.googeapis.google.rpc.status+proto"  # spelled so by clients
LONGEST_RECORD: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """Something that belongs to a build."""

    digest: Digest
    size: int
    written: int  # nanoseconds


class Kept:
    """The files; safe to use from any thread."""

    def __init__(self, root: str) -> None:
        self._records = os.path.join(root, "records")
        self._blobs = os.path.join(root, "blobs")
        self._turn = threading.Lock()
        for folder in (self._records, self._blobs):
            os.makedirs(folder, 0o700, exist_ok=True)

    # Records

    def load(self) -> list[pb.HistoryRecord]:
        """Return all records, the oldest first; remove what none of them needs."""
        found: list[pb.HistoryRecord] = []
        for name in os.listdir(self._records):
            path = os.path.join(self._records, name)
            record = _read_record(path)
            if record is None or name != _name(record.ref):
                log.warning("the record of a build cannot be read and is removed: %s", path)
                with suppress(OSError):
                    os.unlink(path)
            else:
                found.append(record)
        found.sort(key=lambda one: one.created_at.ToNanoseconds())
        self.sweep(found)
        return found

    def save(self, record: pb.HistoryRecord) -> None:
        """Write a record, in place of an older one of the same build."""
        path = os.path.join(self._records, _name(record.ref))
        atomicfile.write(path, record.SerializeToString(), durable=False)

    def remove(self, gone: Iterable[pb.HistoryRecord], left: Iterable[pb.HistoryRecord]) -> None:
        """Forget records, and what only they point to."""
        with self._turn:
            for record in gone:
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._records, _name(record.ref)))
        self.forget([one for record in gone for one in pointers(record)], left)

    def forget(self, gone: Iterable[pb.Descriptor], left: Iterable[pb.HistoryRecord]) -> None:
        """Remove blobs that no record which is left points to."""
        needed = {one.digest for record in left for one in pointers(record)}
        with self._turn:
            for one in gone:
                if one.digest not in needed:
                    self._unlink(one.digest)

    def sweep(self, left: Iterable[pb.HistoryRecord]) -> None:
        """Remove the blobs that nobody points to."""
        needed = {one.digest.partition(":")[2] for record in left for one in pointers(record)}
        with self._turn:
            for name in os.listdir(self._blobs):
                if name not in needed:
                    with suppress(OSError):
                        os.unlink(os.path.join(self._blobs, name))

    def _unlink(self, digest: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self._blobs, digest.partition(":")[2]))

    # Blobs

    def put(self, data: bytes, kind: str, **annotations: str) -> pb.Descriptor:
        """Keep something; it must be pointed to by a record that is saved next."""
        digest = Digest.of(data)
        with self._turn:
            path = os.path.join(self._blobs, digest.hex)
            if not os.path.exists(path):
                atomicfile.write(path, data, durable=False)
        return pb.Descriptor(
            media_type=kind, digest=digest, size=len(data), annotations=annotations
        )

    def open(self, digest: Digest) -> int:
        """Return a descriptor to read a blob from."""
        try:
            return os.open(os.path.join(self._blobs, digest.hex), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchBlob(digest) from None

    def find(self, digest: Digest) -> Blob:
        """Return what is known of a blob."""
        try:
            found = os.stat(os.path.join(self._blobs, digest.hex))
        except FileNotFoundError:
            raise NoSuchBlob(digest) from None
        return Blob(digest, found.st_size, found.st_mtime_ns)

    def all(self) -> Iterator[Blob]:
        """Yield all blobs, in no order."""
        for name in os.listdir(self._blobs):
            with suppress(NoSuchBlob):
                yield self.find(Digest.from_hex(name))


def pointers(record: pb.HistoryRecord) -> Iterator[pb.Descriptor]:
    """Yield what a record points to of what is kept here."""
    for name in ("logs", "external_error", "trace"):
        if record.HasField(name):
            yield getattr(record, name)
    for result in (record.result, *record.results.values()):
        yield from result.attestations


def _name(ref: str) -> str:
    return Digest.of(ref.encode("utf-8", "surrogatepass")).hex


def _read_record(path: str) -> pb.HistoryRecord | None:
    try:
        with open(path, "rb") as file:
            record = pb.HistoryRecord.FromString(file.read(LONGEST_RECORD))
    except (OSError, DecodeError):
        return None
    return record if record.ref and record.HasField("completed_at") else None
