"""Images on their way from one repository to another: within a registry, or between two."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.building.imagetools import resolve
from boxship.cli.manifest.remote import Remote, credentials
from boxship.distribution.client import Registry
from boxship.distribution.errors import WrongBytes
from boxship.errors import InvalidRequest
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.reference import Reference

if TYPE_CHECKING:
    from boxship.cli.shell import Shell
    from boxship.distribution.manifests import Manifest
    from boxship.distribution.pool import Pool
    from boxship.distribution.uploads import Content

FOREIGN: Final = ("foreign", "nondistributable")  # layers that stay where they are
DEEPEST: Final = 4  # indexes in indexes


@dataclass(slots=True)
class Registries:
    """The registries of one command, each with its credentials from the configuration."""

    shell: Shell
    pool: Pool
    known: dict[str, Remote] = field(default_factory=dict)

    def of(self, ref: Reference) -> Remote:
        """Return where a reference leads."""
        if ref.host not in self.known:
            registry = Registry(ref.host, credentials(self.shell, ref.host), self.pool)
            self.known[ref.host] = Remote(registry)
        return self.known[ref.host]

    async def resolve(self, ref: Reference) -> Manifest:
        return await resolve(self.of(ref), ref)

    async def copy(self, origin: Reference, digest: Digest, target: Reference) -> None:
        """Have a manifest, and all it points to, in the target's repository."""
        if (origin.host, origin.path) != (target.host, target.path):
            self.shell.err.line(f"copying {digest} from {origin} to {target}")
            self.shell.err.flush()
            await self._copy(origin, digest, target, 0)

    async def _copy(self, origin: Reference, digest: Digest, target: Reference, deep: int) -> None:
        if deep > DEEPEST:
            raise InvalidRequest(f"{origin}: indexes are nested too deep")
        found = await self.resolve(origin.without_tag().with_digest(digest))
        document = json.loads(found.data)
        if found.media_type in oci.INDEXES:
            for listed in document["manifests"]:
                await self._copy(origin, Digest.parse(listed["digest"]), target, deep + 1)
        else:
            for about in (document["config"], *document["layers"]):
                await self._copy_blob(origin, about, target)
        there = target.without_tag().with_digest(digest)
        await self.of(target).put(there, found.media_type, found.data)

    async def _copy_blob(self, origin: Reference, about: dict[str, Any], target: Reference) -> None:
        if any(word in about.get("mediaType", "") for word in FOREIGN):
            return
        digest, size = Digest.parse(about["digest"]), int(about["size"])
        await self.of(target).registry.upload_blob(
            target.path,
            digest,
            size,
            self._content(origin, digest, size),
            mount_from=origin.path if origin.host == target.host else "",
        )

    def _content(self, origin: Reference, digest: Digest, size: int) -> Content:
        registry = self.of(origin).registry

        async def read(start: int, end: int) -> AsyncIterator[bytes]:
            """Yield a part; the whole is checked on its way."""
            seen, left = hashlib.sha256(), end - start
            async for piece in registry.read_blob(origin.path, digest, size, start):
                kept = piece[:left]
                left -= len(kept)
                seen.update(kept)
                if not left and (start, end) == (0, size) and seen.hexdigest() != digest.hex:
                    raise WrongBytes(f"{origin.host} sent other bytes than {digest}")
                yield kept
                if not left:
                    return

        return read
