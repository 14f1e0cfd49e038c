"""Records of builds that were done elsewhere: read from archives, and kept.

<config>/buildx/imported/<ref>/record        the record, as BuildKit's message
<config>/buildx/imported/<ref>/<digest>      what it points to

They are shown as the builder `.imported`, whose references begin with `.imported/_/`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from google.protobuf.message import DecodeError

from boxship.cli.building import recordtext
from boxship.cli.building.builders import Builder
from boxship.cli.building.localstate import REF
from boxship.errors import InvalidRequest, NotFound
from boxship.lib import atomicfile
from boxship.spec.buildkit import control_pb2 as pb

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

IMPORTED: Final = Builder(".imported", "imported", node="_")
PREFIX: Final = f"{IMPORTED.name}/{IMPORTED.node}/"
RECORD: Final = "application/vnd.buildkit.historyrecord.v0"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
BLOB: Final = re.compile(r"blobs/sha256/([0-9a-f]{64})")
LARGEST: Final = 256 << 20  # bytes that an archive may come to
MOST: Final = 20_000  # members of one
DEEPEST: Final = 3
LENGTH: Final = 4

Blobs = dict[str, bytes]  # by the hex of the digest


class Imported:
    """The records that have been taken in."""

    def __init__(self, shell: Shell) -> None:
        self._folder = os.path.join(shell.config.folder, "buildx", "imported")
        self.builder = IMPORTED

    def every(self, filters: Sequence[str] = ()) -> list[pb.HistoryRecord]:
        """Return the records, newest first."""
        if filters:
            raise InvalidRequest("records that were imported are not filtered")
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        found = [record for name in names if (record := self._read(name)) is not None]
        return sorted(found, key=lambda one: one.created_at.ToNanoseconds(), reverse=True)

    def _read(self, name: str) -> pb.HistoryRecord | None:
        try:
            with open(os.path.join(self._folder, name, "record"), "rb") as file:
                return pb.HistoryRecord.FromString(file.read())
        except (OSError, DecodeError):
            return None

    def content(self, digest: str) -> bytes:
        """Return a blob that belongs to one."""
        name = digest.partition(":")[2]
        if not BLOB.fullmatch(f"blobs/sha256/{name}"):
            raise InvalidRequest(f"invalid digest: {digest!r}")
        for record in self.every():
            path = os.path.join(self._folder, record.ref, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    return file.read()
        raise NotFound(f"{digest} is in no archive that was imported")

    def status(self, record: pb.HistoryRecord, heard: Callable[[pb.StatusResponse], None]) -> None:
        """Hear what was told of a build."""
        if not record.HasField("logs"):
            return
        data = self.content(record.logs.digest)
        at = 0
        while at + LENGTH <= len(data):
            end = at + LENGTH + int.from_bytes(data[at : at + LENGTH], "little")
            heard(pb.StatusResponse.FromString(data[at + LENGTH : end]))
            at = end

    def remove(self, gone: Sequence[pb.HistoryRecord]) -> None:
        for one in gone:
            shutil.rmtree(os.path.join(self._folder, one.ref))

    def take(self, file: BinaryIO) -> list[str]:
        """Take in an archive; return what its records are called from now on."""
        return [self._keep(record, blobs) for record, blobs in unpacked(file)]

    def _keep(self, record: pb.HistoryRecord, blobs: Mapping[str, bytes]) -> str:
        if not REF.fullmatch(record.ref):
            raise InvalidRequest(f"invalid reference of a build: {record.ref[:100]!r}")
        folder = os.path.join(self._folder, record.ref)
        os.makedirs(folder, exist_ok=True)
        for name, data in blobs.items():
            atomicfile.write(os.path.join(folder, name), data, durable=False)
        said = record.SerializeToString()
        atomicfile.write(os.path.join(folder, "record"), said, durable=False)
        return PREFIX + record.ref


def unpacked(file: BinaryIO) -> Iterator[tuple[pb.HistoryRecord, Blobs]]:
    """Yield the records of an archive, each with the blobs that belong to it."""
    blobs, index = _read(file)

    def blob(about: Mapping[str, Any]) -> bytes:
        name = str(about.get("digest", "")).partition(":")[2]
        try:
            return blobs[name]
        except KeyError:
            raise InvalidRequest(f"the archive lacks {about.get('digest')!r}") from None

    found = 0
    try:
        for manifest in _manifests(json.loads(index), blob, 0):
            config = manifest.get("config") or {}
            if config.get("mediaType") != RECORD:
                continue
            found += 1
            layers = manifest.get("layers") or ()
            own = {str(one["digest"]).partition(":")[2]: blob(one) for one in layers}
            yield recordtext.read(blob(config)), own
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidRequest(f"this is no archive of build records: {error}") from None
    if not found:
        raise InvalidRequest("no build records found in the bundle")


def _manifests(
    index: Mapping[str, Any], blob: Callable[[Mapping[str, Any]], bytes], deep: int
) -> Iterator[Mapping[str, Any]]:
    if deep > DEEPEST:
        raise InvalidRequest("the archive's indexes are nested too deep")
    for about in index.get("manifests") or ():
        document = json.loads(blob(about))
        if about.get("mediaType") == INDEX:
            yield from _manifests(document, blob, deep + 1)
        else:
            yield document


def _read(file: BinaryIO) -> tuple[Blobs, bytes]:
    """Return an archive's blobs, each checked, and its index; within bounds."""
    blobs: Blobs = {}
    index = b""
    members = 0
    try:
        with (
            gzip.GzipFile(fileobj=_rewindable(file)) as plain,
            tarfile.open(fileobj=_Bounded(plain), mode="r|") as archive,
        ):
            for member in archive:
                members += 1
                if members > MOST:
                    raise InvalidRequest("the archive is too large")
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    continue
                name = member.name.removeprefix("./")
                if name == "index.json":
                    index = content.read()
                elif digest := BLOB.fullmatch(name):
                    data = content.read()
                    if hashlib.sha256(data).hexdigest() != digest[1]:
                        raise InvalidRequest(f"{name} has other bytes than its name says")
                    blobs[digest[1]] = data
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InvalidRequest(f"this is no archive of build records: {error}") from None
    if not index:
        raise InvalidRequest("no build records found in the bundle")
    return blobs, index


class _Bounded(io.RawIOBase):
    """A file that ends with a refusal where it would be too much."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self._room = LARGEST

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self._room -= len(data)
        if self._room < 0:
            raise InvalidRequest("the archive is too large")
        return data


def _rewindable(file: BinaryIO) -> BinaryIO:
    return file if file.seekable() else io.BytesIO(file.read(LARGEST))
