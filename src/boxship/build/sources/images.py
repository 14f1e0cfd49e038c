"""`docker-image://NAME`: the engine's images, pulled where they are missing or to be newer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from boxship.build.dockerfile.options import Resolved
from boxship.build.errors import BadGraph
from boxship.build.filesystems import Layers
from boxship.build.ops import Source
from boxship.build.purl import package
from boxship.build.sources import reach
from boxship.build.sources.source import Asker, Fetched, Tell, Told
from boxship.content.store import Blobs
from boxship.errors import InvalidRequest
from boxship.image.errors import NoSuchImage
from boxship.image.images import Image, Images
from boxship.image.pull import Pulls
from boxship.image.telling import Telling
from boxship.image.telling import Told as PullTold
from boxship.spec.digest import Digest
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

SCHEME: Final = "docker-image://"
MOST_CONFIGS: Final = 32
LARGEST_CONFIG: Final = 1 << 16  # bytes, of one that is kept at hand
CHECKSUM: Final = "image.checksum"


class ImageSource:
    """Fetches images, and finds them for front ends."""

    def __init__(self, images: Images, pulls: Pulls, blobs: Blobs) -> None:
        self._images = images
        self._pulls = pulls
        self._blobs = blobs
        self._configs: dict[Digest, bytes] = {}  # that used last being the last

    async def fetch(
        self, source: Source, platform: Platform | None, asker: Asker, tell: Tell
    ) -> Fetched:
        """Return an image's files, unpacked."""
        name = source.identifier.removeprefix(SCHEME)
        attrs = dict(source.attrs)
        mode, checksum = attrs.get("image.resolvemode", ""), attrs.get(CHECKSUM, "")
        if mode not in ("", "default", "pull", "local"):
            raise BadGraph(f"invalid image resolve mode {mode!r}")
        image = await self.find(name, platform, asker, tell, newest=mode == "pull")
        if checksum and Digest.parse(checksum) != image.id:
            raise InvalidRequest(f"image {name} has the digest {image.id}, and not {checksum}")
        chain = image.chain_id
        asker.held.chain(chain)
        if not self._images.is_unpacked(image):
            await asyncio.to_thread(self._images.ensure_unpacked, image)
        reference = Reference.parse(name).with_default_tag()
        uri = package(reference, image.variant.platform or self._images.host)
        digest = {"sha256": image.id.hex}
        return Fetched(Layers(chain), f"image {chain or 'scratch'}", uri, digest)

    async def find(
        self, name: str, platform: Platform | None, asker: Asker, tell: Tell, *, newest: bool
    ) -> Image:
        """Return the image that a name means; one that is not here is pulled."""
        if not newest and not asker.pull:
            with suppress(NoSuchImage):
                return self._images.get(name, platform)
        reference = Reference.parse(name).with_default_tag()
        reach.check_host(reference.host)
        login = await asker.login(reference.host)
        try:
            return await self._pulls.pull(reference, login, _telling(tell), platform)
        except NoSuchImage:
            if newest:
                raise
            return self._images.get(name, platform)

    async def resolve(self, name: str, platform: Platform, asker: Asker, tell: Tell) -> Resolved:
        """Find an image for a front end: its digest and configuration."""
        image = await self.find(name, platform, asker, tell, newest=False)
        manifest = image.variant.manifest
        if manifest is None:
            raise NoSuchImage(name)
        return Resolved(name, image.id, await self._config(manifest.config.digest))

    async def _config(self, digest: Digest) -> bytes:
        """Return a configuration; those that builds began with last are at hand."""
        config = self._configs.pop(digest, None)
        if config is None:
            config = await asyncio.to_thread(self._blobs.read, digest)
        if len(config) <= LARGEST_CONFIG:
            self._configs[digest] = config
            if len(self._configs) > MOST_CONFIGS:
                del self._configs[next(iter(self._configs))]
        return config


def _telling(tell: Tell) -> Callable[[Telling], None]:
    def heard(said: Telling) -> None:
        if isinstance(said, PullTold) and said.layer:
            done = said.status in ("Pull complete", "Already exists")
            tell(Told(said.id, said.status, said.current, said.total, done))

    return heard
