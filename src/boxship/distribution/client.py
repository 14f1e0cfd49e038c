"""A registry, asked over HTTP: manifests, blobs, tags, referrers, and logging in.

    async with Pool(settings) as pool:
        registry = Registry("localhost:5000", Credentials("user", "secret"), pool)
        manifest = await registry.resolve("team/app", "1.0")
        async with registry.fetch_blob("team/app", digest) as blob:
            async for piece in blob: ...

Reading asks the registry's mirrors first, in order; writing and logging in asks only itself.
"""

from __future__ import annotations

from typing import Final

from boxship.distribution import manifests, tokens, uploads
from boxship.distribution.blobs import Blob
from boxship.distribution.errors import RegistryUnavailable, WrongAnswer
from boxship.distribution.manifests import Manifest
from boxship.distribution.reading import Reading
from boxship.distribution.requests import Requests
from boxship.distribution.uploads import Content, Sent, Upload
from boxship.lib import strictjson
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, Index

NOTHING: Final = tokens.joined(())


class Registry(Reading):
    """One registry, as one user sees it; `host` is what references call it."""

    async def has_blob(self, repository: str, digest: Digest) -> bool:
        """Whether the registry itself has a blob in a repository; for writing, so not mirrors."""
        return (await self.blob_size(repository, digest, writing=True)) is not None

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
        known = await self.referrers_by_tag(repository, subject)
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


__all__ = ["Blob", "Manifest", "Registry", "Sent"]
