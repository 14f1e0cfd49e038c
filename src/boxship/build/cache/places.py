"""Where caches and layouts lie: a repository of a registry, a content store of a client's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from boxship.build.needs import ContentStore
from boxship.content.ingest import CHUNK
from boxship.content.store import Blobs
from boxship.distribution import manifests
from boxship.distribution.client import Registry
from boxship.errors import InvalidRequest, NotSupported
from boxship.lib import strictjson
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor
from boxship.spec.reference import Reference

DOCUMENT: Final = strictjson.SIZE


class Place(Protocol):
    """Documents and blobs somewhere else."""

    @property
    def name(self) -> str:
        """What people call it."""

    async def top(self) -> tuple[str, bytes]:
        """Return the media type and the bytes of what the place's name points to, checked."""

    async def document(self, about: Descriptor) -> bytes:
        """Return a manifest that an index lists, checked."""

    def read(self, about: Descriptor) -> AsyncIterator[bytes]:
        """Yield a blob; whoever reads it checks the digest."""


class Target(Protocol):
    """Where a cache or an image goes."""

    @property
    def name(self) -> str:
        """What people call it."""

    async def put(self, about: Descriptor, blobs: Blobs) -> None:
        """Have a blob there."""

    async def finish(self, media_type: str, data: bytes) -> None:
        """Put the document that points to the blobs, under the place's name."""


@dataclass(frozen=True, slots=True)
class InRegistry:
    """A tag or digest in a repository."""

    reference: Reference
    registry: Registry

    @property
    def name(self) -> str:
        return str(self.reference)

    async def top(self) -> tuple[str, bytes]:
        wanted = self.reference.digest or self.reference.tag or ""
        found = await self.registry.resolve(self.reference.path, wanted)
        return found.media_type, found.data

    async def document(self, about: Descriptor) -> bytes:
        found = await self.registry.resolve(self.reference.path, about.digest)
        return found.data

    def read(self, about: Descriptor) -> AsyncIterator[bytes]:
        return self.registry.read_blob(self.reference.path, about.digest, about.size)

    async def put(self, about: Descriptor, blobs: Blobs) -> None:
        async def content(start: int, end: int) -> AsyncIterator[bytes]:
            async for piece in pieces(blobs, about.digest, start, end):
                yield piece

        path = self.reference.path
        await self.registry.upload_blob(path, about.digest, about.size, content)

    async def finish(self, media_type: str, data: bytes) -> None:
        tag = self.reference.tag or ""
        await self.registry.put_manifest(self.reference.path, tag, media_type, data)


@dataclass(frozen=True, slots=True)
class Here:
    """An image of the engine's own, of which only layers are read."""

    name: str
    blobs: Blobs

    async def top(self) -> tuple[str, bytes]:
        raise NotSupported(f"{self.name} is no cache")

    async def document(self, about: Descriptor) -> bytes:
        raise NotSupported(f"{self.name} lists no manifests")

    def read(self, about: Descriptor) -> AsyncIterator[bytes]:
        return pieces(self.blobs, about.digest, 0, about.size)


@dataclass(frozen=True, slots=True)
class AtClient:
    """A content store that a client offers; `digest` is what is read, where that is known."""

    name: str
    store: ContentStore
    digest: Digest | None = None

    async def top(self) -> tuple[str, bytes]:
        if self.digest is None:
            raise InvalidRequest(f"{self.name}: a digest is needed")
        size = await self.store.size(self.digest)
        about = Descriptor(media_type="", digest=self.digest, size=size)
        data = await self.document(about)
        return oci.read_kind(data, ""), data

    async def document(self, about: Descriptor) -> bytes:
        if about.size > manifests.LIMIT:
            raise InvalidRequest(f"{self.name}: a document is larger than {manifests.LIMIT} bytes")
        data = b"".join([piece async for piece in self.read(about)])
        if Digest.of(data) != about.digest:
            raise InvalidRequest(f"{self.name}: {about.digest} is damaged")
        return data

    def read(self, about: Descriptor) -> AsyncIterator[bytes]:
        return self.store.read(about.digest, about.size)

    async def put(self, about: Descriptor, blobs: Blobs) -> None:
        content = pieces(blobs, about.digest, 0, about.size)
        await self.store.write(about.digest, about.size, content)

    async def finish(self, media_type: str, data: bytes) -> None:
        async def whole() -> AsyncIterator[bytes]:
            yield data

        await self.store.write(Digest.of(data), len(data), whole())


async def small(place: Place, about: Descriptor, limit: int = DOCUMENT) -> bytes:
    """Return a blob that is a document, checked."""
    if not 0 <= about.size <= limit:
        raise InvalidRequest(f"{place.name}: {about.digest} has {about.size} bytes, too many")
    parts: list[bytes] = []
    size = 0
    async for piece in place.read(about):
        parts.append(piece)
        size += len(piece)
        if size > about.size:
            break
    data = b"".join(parts)
    if len(data) != about.size or Digest.of(data) != about.digest:
        raise InvalidRequest(f"{place.name}: {about.digest} is damaged")
    return data


async def pieces(blobs: Blobs, digest: Digest, start: int, end: int) -> AsyncIterator[bytes]:
    """Yield a part of a blob that is here."""
    file = await asyncio.to_thread(blobs.open, digest)
    try:
        while start < end:
            piece = await asyncio.to_thread(os.pread, file, min(4 * CHUNK, end - start), start)
            if not piece:
                return
            start += len(piece)
            yield piece
    finally:
        os.close(file)


def unique(layers: Sequence[Descriptor]) -> list[Descriptor]:
    """Return each blob once, in order."""
    return list({one.digest: one for one in layers}.values())
