"""A registry, asked over HTTP: manifests, blobs, tags, referrers, and logging in.

    async with Pool(settings) as pool:
        registry = Registry("localhost:5000", Credentials("user", "secret"), pool)
        manifest = await registry.resolve("team/app", "1.0")
        async with registry.fetch_blob("team/app", digest) as blob:
            async for piece in blob: ...

Reading asks the registry's mirrors first, in order; writing and logging in asks only itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from boxship.distribution import blobs, manifests, tokens, uploads
from boxship.distribution.auth import ANONYMOUS, Credentials
from boxship.distribution.blobs import Blob
from boxship.distribution.endpoints import Endpoint
from boxship.distribution.errors import (
    NotThere,
    RegistryError,
    RegistryUnavailable,
    Unreachable,
    UnsupportedThere,
    WrongAnswer,
    WrongBytes,
)
from boxship.distribution.manifests import Manifest
from boxship.distribution.pool import Pool
from boxship.distribution.requests import Requests
from boxship.distribution.uploads import Content, Sent, Upload
from boxship.errors import BoxshipError
from boxship.lib import strictjson
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, Index

PAGES: Final = 1000
LIST_LIMIT: Final = 8 << 20
NOTHING: Final = tokens.joined(())

T = TypeVar("T")


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class _Catalog(msgspec.Struct):
    repositories: list[str] | None = None


class Registry:
    """One registry, as one user sees it; `host` is what references call it."""

    def __init__(
        self, host: str, credentials: Credentials | None = None, pool: Pool | None = None
    ) -> None:
        self.host = host
        self.pool = pool or Pool()
        self.credentials = (credentials or ANONYMOUS).belonging_to(host)

    # asking

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

    async def has_blob(self, repository: str, digest: Digest) -> bool:
        """Whether the registry itself has a blob in a repository; for writing, so not mirrors."""
        return (await self.blob_size(repository, digest, writing=True)) is not None

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
            found = await self._referrers_by_tag(repository, digest)
        return [d for d in found if not artifact_type or d.artifact_type == artifact_type]

    async def _referrers_by_tag(self, repository: str, digest: Digest) -> list[Descriptor]:
        try:
            index = await self.resolve(repository, f"sha256-{digest.hex}", (oci.OCI_INDEX,))
        except NotThere:
            return []
        return strictjson.decode(index.data, Index, "index").manifests

    # writing

    async def put_manifest(
        self, repository: str, reference: str, media_type: str, data: bytes
    ) -> Digest:
        """Put a manifest under a tag or its digest.

        What refers to another manifest is listed in the tag that stands in for the referrers
        API, where the registry does not have that.
        """
        scopes = tokens.joined((tokens.push(repository),))

        listed = False

        async def ask(at: Requests) -> Digest:
            nonlocal listed
            url = at.endpoint.url(f"{repository}/manifests/{reference}")
            headers = {"Content-Type": media_type, "Content-Length": str(len(data))}
            async with at.send(
                "PUT", url, scopes, expected=(200, 201, 202), headers=headers, body=lambda: data
            ) as response:
                said = response.headers.get("Docker-Content-Digest", "")
                listed = "OCI-Subject" in response.headers
            digest = Digest.of(data)
            if said.startswith("sha256:") and said != digest:
                raise WrongAnswer(f"{self.host} has stored {said}, not {digest}")
            return digest

        digest = await self._itself(ask)
        referrer = None if listed else manifests.referrer(data, media_type)
        if referrer is not None:
            await self._list_by_tag(repository, *referrer)
        return digest

    async def _list_by_tag(self, repository: str, subject: Digest, about: Descriptor) -> None:
        tag = f"sha256-{subject.hex}"
        known = await self._referrers_by_tag(repository, subject)
        if any(one.digest == about.digest for one in known):
            return
        index = Index(schema_version=2, media_type=oci.OCI_INDEX, manifests=[*known, about])
        await self.put_manifest(repository, tag, oci.OCI_INDEX, strictjson.encode(index))

    async def mount_blob(self, repository: str, digest: Digest, origin: str) -> bool:
        """Have a blob of another repository here too; say whether the registry did that."""
        scopes = tokens.joined((tokens.push(repository), tokens.pull(origin)))

        async def ask(at: Requests) -> bool:
            path = f"{repository}/blobs/uploads/"
            url = at.endpoint.url(path, mount=str(digest), **{"from": origin})
            where = await uploads.begin(at, url, scopes)
            if where is not None:
                await uploads.cancel(at, where, scopes)
            return where is None

        return await self._itself(ask)

    async def upload_blob(
        self,
        repository: str,
        digest: Digest,
        size: int,
        content: Content,
        *,
        mount_from: str = "",
        check: bool = True,
    ) -> Sent:
        """Have a blob in a repository: as it is there, mounted from another, or sent.

        `content(start, end)` opens its bytes; it may be called again after a failure.
        """
        if check and await self.has_blob(repository, digest):
            return Sent.EXISTED
        scopes = {tokens.push(repository)}
        query = {}
        if mount_from:
            scopes.add(tokens.pull(mount_from))
            query = {"mount": str(digest), "from": mount_from}
        wanted = tokens.joined(scopes)

        async def ask(at: Requests) -> Sent:
            url = at.endpoint.url(f"{repository}/blobs/uploads/", **query)
            tries = self.pool.settings.attempts
            for attempt in range(tries):
                where = await uploads.begin(at, url, wanted)
                if where is None:
                    return Sent.MOUNTED
                try:
                    await uploads.send(at, where, wanted, Upload(digest, size, content))
                    return Sent.PUSHED
                except RegistryUnavailable:
                    if attempt == tries - 1:
                        raise
                await at.pause(attempt)
            raise AssertionError("no attempt")

        return await self._itself(ask)

    async def delete_manifest(self, repository: str, reference: str) -> None:
        """Remove a manifest, or a tag where the registry can."""
        await self._delete(repository, f"{repository}/manifests/{reference}")

    async def delete_blob(self, repository: str, digest: Digest) -> None:
        """Remove a blob from a repository."""
        await self._delete(repository, f"{repository}/blobs/{digest}")

    async def _delete(self, repository: str, path: str) -> None:
        scopes = tokens.joined((f"repository:{repository}:delete", tokens.pull(repository)))

        async def ask(at: Requests) -> None:
            url = at.endpoint.url(path)
            async with at.send("DELETE", url, scopes, expected=(200, 202, 204)):
                return

        await self._itself(ask)

    # logging in

    async def ping(self) -> None:
        """Make sure that there is a registry that takes the credentials."""

        async def ask(at: Requests) -> None:
            async with at.send("GET", at.endpoint.url(""), NOTHING, expected=(200,)):
                return

        await self._itself(ask)

    async def login(self) -> str:
        """Make sure that the credentials are good; return an identity token if one was given."""
        given = ""

        async def ask(at: Requests) -> None:
            nonlocal given
            url = at.endpoint.url("")
            async with at.send("GET", url, NOTHING, expected=(200,)):
                pass
            challenge = self.pool.tokens.challenge(at.endpoint.origin)
            if challenge is not None and challenge.scheme == "bearer" and self.credentials.username:
                document = await at.login.fetch(challenge, NOTHING, offline=True)
                given = document.refresh_token or ""

        await self._itself(ask)
        return given

    # where

    async def _places(self, *, mirrors: bool) -> list[Requests]:
        found = await self.pool.endpoints(self.host, mirrors=mirrors)
        return [Requests(self.pool, endpoint, self.credentials) for endpoint in found]

    async def _itself(self, ask: Callable[[Requests], Awaitable[T]]) -> T:
        return await self._first(await self._places(mirrors=False), ask)

    async def _anywhere(self, ask: Callable[[Requests], Awaitable[T]]) -> T:
        return await self._first(await self._places(mirrors=True), ask)

    async def _first(
        self, places: Iterable[Requests], ask: Callable[[Requests], Awaitable[T]]
    ) -> T:
        """Return the first answer; of several failures, the registry's own counts."""
        rest = list(places)
        while True:
            place = rest.pop(0)
            try:
                found = await ask(place)
            except BoxshipError as error:
                if not self._goes_on(place.endpoint, error, last=not rest):
                    raise
                continue
            if place.endpoint.scheme == "http" and not place.endpoint.mirror:
                self.pool.speaks_plain(place.endpoint)
            return found

    def _goes_on(self, endpoint: Endpoint, error: BoxshipError, *, last: bool) -> bool:
        """Whether the next place is worth asking after this one failed."""
        if last:
            return False
        if endpoint.mirror:
            if not isinstance(error, NotThere):
                self.pool.distrust(endpoint)
            return True
        return isinstance(error, Unreachable)

    async def _pages(
        self, path: str, scopes: tokens.Scopes, kind: type[T], limit: int, **query: str
    ) -> list[T]:
        """Return all pages of a list, following its links."""

        async def ask(at: Requests) -> list[T]:
            url = at.endpoint.url(path, **query)
            found: list[T] = []
            for _ in range(PAGES):
                headers = {"Accept": f"application/json, {oci.OCI_INDEX}"}
                data, response = await at.document(url, scopes, LIST_LIMIT, headers)
                link = response.links.get("next")
                following = str(link["url"]) if link else ""
                try:
                    found.append(msgspec.json.decode(data, type=kind, dec_hook=_digest))
                except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                    raise WrongAnswer(f"{path}: {error}") from error
                if not following or len(found) * 1000 >= limit + 1000:
                    break
                url = at.follow(url, following)
            return found

        return await self._anywhere(ask)


def separator(reference: str) -> str:
    """Return what stands between a name and a tag or digest."""
    return "@" if manifests.is_digest(reference) else ":"


def _digest(kind: type, value: object) -> object:
    if kind is Digest and isinstance(value, str):
        return Digest.parse(value)
    raise NotImplementedError(kind)


__all__ = ["Blob", "Manifest", "Registry", "Sent"]
