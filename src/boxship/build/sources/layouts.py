"""`oci-layout://NAME[:TAG]@DIGEST`: an image in a content store that the client offers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from boxship.build.cache.arrivals import Arrivals
from boxship.build.cache.document import LAYER_KINDS, Travelling
from boxship.build.cache.places import AtClient, small
from boxship.build.dockerfile.options import Resolved
from boxship.build.filesystems import Layers
from boxship.build.ops import Source
from boxship.build.sources.source import Asker, Fetched, Tell
from boxship.errors import InvalidRequest, NotFound
from boxship.image.errors import NoSuchPlatform
from boxship.lib import strictjson
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, ImageConfig, Index, Manifest
from boxship.spec.platform import Platform, best

SCHEME: Final = "oci-layout://"
NESTING: Final = 4


@dataclass(frozen=True, slots=True)
class Found:
    """An image of a layout, read."""

    place: AtClient
    manifest: Digest
    config: bytes
    stack: tuple[Travelling, ...]


class LayoutSource:
    """Fetches them, layer by layer, and only those that are not here."""

    def __init__(self, arrivals: Arrivals, host: Platform) -> None:
        self._arrivals = arrivals
        self._host = host

    async def fetch(
        self, source: Source, platform: Platform | None, asker: Asker, tell: Tell
    ) -> Fetched:
        """Return the image's files."""
        attrs = dict(source.attrs)
        found = await self._find(
            source.identifier,
            platform or self._host,
            asker,
            session=attrs.get("oci.session", ""),
            store=attrs.get("oci.store", ""),
        )
        description = f"load {source.identifier[:200]}"
        chain = await self._arrivals.bring(found.stack, found.place, asker.held, description)
        return Fetched(Layers(chain), f"image {chain or 'scratch'}")

    async def resolve(self, identifier: str, platform: Platform, asker: Asker) -> Resolved:
        """Find an image for a front end."""
        found = await self._find(identifier, platform, asker)
        return Resolved(identifier, found.manifest, found.config)

    async def _find(
        self,
        identifier: str,
        platform: Platform,
        asker: Asker,
        *,
        session: str = "",
        store: str = "",
    ) -> Found:
        name, at, digest = identifier.removeprefix(SCHEME).partition("@")
        if not at:
            raise InvalidRequest(f"{identifier[:200]}: a digest is needed")
        store = store or name.partition(":")[0]
        client = next((one for one in asker.sessions if session in ("", one.id)), None)
        if client is None:
            raise NotFound("no client session offers an OCI layout")
        place = AtClient(identifier[:200], client.store(f"oci:{store}"), Digest.parse(digest))
        media_type, data = await place.top()
        for _ in range(NESTING):
            if media_type in oci.MANIFESTS:
                break
            about = _chosen(data, platform)
            media_type, data = about.media_type, await place.document(about)
        document = strictjson.decode(data, Manifest, "manifest")
        if document.config.media_type not in oci.CONFIGS:
            raise InvalidRequest(f"{identifier[:200]} is not an image")
        config = await small(place, document.config)
        stack = await asyncio.to_thread(_stack, document, config)
        return Found(place, Digest.of(data), config, stack)


def _chosen(data: bytes, platform: Platform) -> Descriptor:
    """Return the manifest of an index that is meant."""
    listed = strictjson.decode(data, Index, "index").manifests
    listed = [one for one in listed if oci.ATTESTATION_KIND not in (one.annotations or {})]
    said = [one for one in listed if one.platform is not None]
    at = best([one.platform.value() for one in said if one.platform is not None], platform)
    if at is not None:
        return said[at]
    if len(listed) == 1 and not said:
        return listed[0]
    raise NoSuchPlatform(platform)


def _stack(manifest: Manifest, config: bytes) -> tuple[Travelling, ...]:
    diff_ids = strictjson.decode(config, ImageConfig, "image configuration").rootfs.diff_ids
    if len(diff_ids) != len(manifest.layers):
        raise InvalidRequest("the manifest and the configuration have different layers")
    if any(one.media_type not in LAYER_KINDS for one in manifest.layers):
        raise InvalidRequest("the image has layers of an unknown kind")
    return tuple(
        Travelling(
            Descriptor(media_type=one.media_type, digest=one.digest, size=one.size),
            Digest.parse(diff_id),
        )
        for one, diff_id in zip(manifest.layers, diff_ids, strict=True)
    )
