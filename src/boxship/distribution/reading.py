"""What is asked of a registry: manifests, blobs, lists. Mirrors come first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec

from boxship.distribution import blobs, manifests, tokens
from boxship.distribution.auth import ANONYMOUS
from boxship.distribution.blobs import Blob
from boxship.distribution.endpoints import Endpoint
from boxship.distribution.errors import (
    NotThere,
    RegistryError,
    UnsupportedThere,
    WrongAnswer,
    WrongBytes,
)
from boxship.distribution.manifests import Manifest
from boxship.distribution.places import Places
from boxship.distribution.requests import Requests
from boxship.lib import strictjson
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, Index


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class _Catalog(msgspec.Struct):
    repositories: list[str] | None = None


class Reading(Places):
    """The questions."""

    async def resolve(
        self, repository: str, reference: str, accept: Sequence[str] = manifests.ACCEPTED
    ) -> Manifest:
        """Return the manifest or index that a tag or digest names, checked."""
        scopes = tokens.joined((tokens.pull(repository),))
        name = f"{self.host}/{repository}{separator(reference)}{reference}"

        async def ask(at: Requests) -> Manifest:
            url = at.endpoint.url(f"{repository}/manifests/{reference}")
            headers = {"Accept": ", ".join(accept)}
            data, response = await at.document(url, scopes, manifests.LIMIT, headers)
            kind = response.headers.get("Content-Type", "")
            announced = response.headers.get("Docker-Content-Digest", "")
            return manifests.received(data, kind, announced, reference, name)

        return await self._anywhere(ask)

    async def head_manifest(
        self, repository: str, reference: str, accept: Sequence[str] = manifests.ACCEPTED
    ) -> Descriptor:
        """Return what a tag or digest points to, without fetching it where the registry says it.

        NotThere when there is none.
        """
        scopes = tokens.joined((tokens.pull(repository),))

        async def ask(at: Requests) -> Descriptor | None:
            url = at.endpoint.url(f"{repository}/manifests/{reference}")
            headers = {"Accept": ", ".join(accept)}
            async with at.send("HEAD", url, scopes, expected=(200,), headers=headers) as response:
                said = response.headers.get("Docker-Content-Digest", "")
                kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
                size = response.content_length
                if not said.startswith("sha256:") or size is None or kind not in accept:
                    return None
                digest = Digest.parse(said)
                if manifests.is_digest(reference) and digest != reference:
                    raise WrongAnswer(f"{self.host} answers for {digest}, not for {reference}")
                return Descriptor(media_type=kind, digest=digest, size=size)

        found = await self._anywhere(ask)
        return found or (await self.resolve(repository, reference, accept)).descriptor

    async def blob_size(
        self, repository: str, digest: Digest, *, writing: bool = False
    ) -> int | None:
        """Return the size of a blob, -1 where it is not said, or None where there is no blob."""
        scope = tokens.push(repository) if writing else tokens.pull(repository)

        async def ask(at: Requests) -> int:
            url = at.endpoint.url(f"{repository}/blobs/{digest}")
            async with at.send("HEAD", url, tokens.joined((scope,)), expected=(200,)) as response:
                length = response.content_length
                return -1 if length is None else length

        try:
            return await (self._itself(ask) if writing else self._anywhere(ask))
        except NotThere:
            return None

    @asynccontextmanager
    async def fetch_blob(
        self, repository: str, digest: Digest, offset: int = 0
    ) -> AsyncIterator[Blob]:
        """Open a blob at an offset. Neither its size nor its digest is checked."""
        scopes = tokens.joined((tokens.pull(repository),))
        opened = None

        async def ask(at: Requests) -> Blob:
            nonlocal opened
            url = at.endpoint.url(f"{repository}/blobs/{digest}")
            opened = blobs.open_blob(at, url, scopes, offset)
            return await opened.__aenter__()

        blob = await self._anywhere(ask)
        assert opened is not None
        try:
            yield blob
        finally:
            await opened.__aexit__(None, None, None)

    async def read_blob(
        self,
        repository: str,
        digest: Digest,
        size: int,
        offset: int = 0,
        *,
        urls: Sequence[str] = (),
    ) -> AsyncIterator[bytes]:
        """Yield a blob of a known size, on after interruptions; whoever reads it checks the digest.

        What a mirror cannot give, the next place is asked for, from the same offset on. What the
        registry does not have is looked for at `urls`, of foreign hosts, without credentials.
        """
        scopes = tokens.joined((tokens.pull(repository),))
        at = offset
        path = f"{repository}/blobs/{digest}"
        places = [(one, one.endpoint.url(path)) for one in await self._places(mirrors=True)]
        places += [(self._foreign(url), url) for url in urls if url.startswith("https://")]
        for number, (place, url) in enumerate(places):
            try:
                async for piece in blobs.whole(place, url, scopes, digest, size, at):
                    at += len(piece)
                    yield piece
                return
            except RegistryError as error:
                last = number == len(places) - 1
                if place.endpoint.host != self.host or (urls and isinstance(error, NotThere)):
                    if last:
                        raise
                elif not self._goes_on(place.endpoint, error, last=last):
                    raise

    def _foreign(self, url: str) -> Requests:
        """Return what asks a host that only a document has named."""
        parts = urlsplit(url)
        return Requests(self.pool, Endpoint(parts.netloc, "https", parts.netloc), ANONYMOUS)

    async def small_blob(self, repository: str, digest: Digest, size: int, limit: int) -> bytes:
        """Return a document among the blobs, checked."""
        if size > limit:
            raise WrongAnswer(f"blob {digest} has {size} bytes, and more than {limit} are too many")
        data = b"".join([piece async for piece in self.read_blob(repository, digest, size)])
        if Digest.of(data) != digest:
            raise WrongBytes(f"blob {digest} has the digest {Digest.of(data)}")
        return data

    async def distrust_mirrors(self) -> bool:
        """Ask no mirror for a while, because one gave bad content; say whether there were any."""
        places = [one for one in await self._places(mirrors=True) if one.endpoint.mirror]
        for place in places:
            self.pool.distrust(place.endpoint)
        return bool(places)

    async def tags(self, repository: str, *, limit: int = 100_000) -> list[str]:
        """Return the tags of a repository, all pages of them."""
        scopes = tokens.joined((tokens.pull(repository),))
        pages = await self._pages(f"{repository}/tags/list", scopes, _Tags, limit, n="1000")
        return [tag for page in pages for tag in page.tags or []][:limit]

    async def catalog(self, *, limit: int = 100_000) -> list[str]:
        """Return the names of the repositories, all pages of them."""
        scopes = tokens.joined(("registry:catalog:*",))
        pages = await self._pages("_catalog", scopes, _Catalog, limit, n="1000")
        return [name for page in pages for name in page.repositories or []][:limit]

    async def referrers(
        self, repository: str, digest: Digest, artifact_type: str = ""
    ) -> list[Descriptor]:
        """Return what refers to a manifest; from the tag that stands in for the API if need be."""
        scopes = tokens.joined((tokens.pull(repository),))
        query = {"artifactType": artifact_type} if artifact_type else {}
        path = f"{repository}/referrers/{digest}"
        try:
            pages = await self._pages(path, scopes, Index, 10_000, **query)
            found = [one for page in pages for one in page.manifests]
        except (NotThere, UnsupportedThere):
            found = await self.referrers_by_tag(repository, digest)
        return [d for d in found if not artifact_type or d.artifact_type == artifact_type]

    async def referrers_by_tag(self, repository: str, digest: Digest) -> list[Descriptor]:
        try:
            index = await self.resolve(repository, f"sha256-{digest.hex}", (oci.OCI_INDEX,))
        except NotThere:
            return []
        return strictjson.decode(index.data, Index, "index").manifests


def separator(reference: str) -> str:
    """Return what stands between a name and a tag or digest."""
    return "@" if manifests.is_digest(reference) else ":"
