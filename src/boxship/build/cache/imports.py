"""Cached results of other machines: what caches and images say of themselves is read here.

    type=registry,ref=NAME     a cache, or an image that carries its own (type=inline)
    type=local,src=FOLDER      a cache in a folder of the client's

Of a cache only its document is fetched before the build; layers come when a step is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from boxship.build import inline
from boxship.build.announcing import announced
from boxship.build.cache import document
from boxship.build.cache.arrivals import Arrivals
from boxship.build.cache.document import Known, Travelling
from boxship.build.cache.places import AtClient, Here, InRegistry, Place, small
from boxship.build.cache.remote import Remote
from boxship.build.progress import Report, Warned
from boxship.build.request import CacheOption
from boxship.build.sources import reach
from boxship.build.sources.source import Asker
from boxship.content.store import Blobs
from boxship.distribution.client import Registry
from boxship.distribution.pool import Pool
from boxship.errors import BoxshipError, InvalidRequest, NotFound, NotSupported
from boxship.image.images import Image, Images
from boxship.lib import strictjson
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, ImageConfig, Index, Manifest
from boxship.spec.reference import Reference

TARGETS: Final = frozenset({"inline", "registry", "local"})
MOST_MANIFESTS: Final = 16


def check_targets(wanted: Sequence[CacheOption]) -> None:
    """Refuse to send the cache where it cannot go."""
    for option in wanted:
        if option.kind not in TARGETS:
            raise NotSupported(
                f"cache export to {option.kind!r} is not supported: use registry, local or inline"
            )
        if option.attrs.get("mode", "min") not in ("min", "max"):
            raise InvalidRequest(f"invalid mode of a cache export: {option.attrs['mode']!r}")
        needed = {"registry": "ref", "local": "dest"}.get(option.kind)
        if needed and not option.attrs.get(needed):
            raise InvalidRequest(f"a cache export to {option.kind} needs a {needed}")


class Imports:
    """Takes in what other machines have done."""

    def __init__(self, images: Images, blobs: Blobs, arrivals: Arrivals, pool: Pool) -> None:
        self._images = images
        self._blobs = blobs
        self._arrivals = arrivals
        self._pool = pool

    async def bring(self, wanted: Sequence[CacheOption], asker: Asker, report: Report) -> Remote:
        """Read all that is wanted; what cannot be had is told of, and does not matter."""
        remote = Remote(self._arrivals)
        known: list[CacheOption] = []
        for option in wanted:
            if option in known:
                continue  # buildx says it twice
            known.append(option)
            said = option.attrs.get("ref") or option.attrs.get("src") or option.kind
            try:
                with announced(report, f"importing cache manifest from {said}"):
                    await self._one(option, asker, remote)
            except (BoxshipError, OSError) as error:
                text = f"failed to import cache of {said}: {error}"
                report(Warned(Digest.of(text.encode()), 1, text.encode()))
        return remote

    async def _one(self, option: CacheOption, asker: Asker, remote: Remote) -> None:
        match option.kind:
            case "registry" | "inline":
                await self._of_registry(option, asker, remote)
            case "local":
                place = _at_client(option, asker)
                if not await self._read(place, remote):
                    raise InvalidRequest(f"{place.name} holds no cache")
            case _:
                raise NotSupported(f"cache import from {option.kind!r} is not supported")

    async def _of_registry(self, option: CacheOption, asker: Asker, remote: Remote) -> None:
        name = option.attrs.get("ref", "")
        if not name:
            raise InvalidRequest("a cache import from a registry needs a ref")
        reference = Reference.parse(name).with_default_tag()
        image = self._images.find(str(reference))
        if image is not None and await asyncio.to_thread(self._take, image, remote):
            asker.held.chain(image.chain_id)
            return
        reach.check_host(reference.host)
        login = await asker.login(reference.host)
        place = InRegistry(reference, Registry(reference.host, login, self._pool))
        if not await self._read(place, remote):
            raise NotFound(f"{reference.familiar} holds no cache")

    async def _read(self, place: Place, remote: Remote) -> bool:
        """Read a cache or the image that carries one; say whether there was any."""
        media_type, data = await place.top()
        parts = await asyncio.to_thread(document.parts, media_type, data)
        if parts is not None:
            config, blobs = parts
            said = await small(place, config, document.LIMIT)
            remote.add(await asyncio.to_thread(document.read, said, blobs), place)
            return True
        known = Known()
        for manifest in await _manifests(place, media_type, data):
            await _inline(place, manifest, known)
        remote.add(known, place)
        return bool(known.results)

    def _take(self, image: Image, remote: Remote) -> bool:
        """Take in what an image that is here carries; say whether it does.

        It counts for the one build that asks: what an image says is no more than its word.
        """
        manifest = image.variant.manifest
        if manifest is None:
            return False
        known = Known()
        _read_inline(self._blobs.read(manifest.config.digest), manifest.layers, known)
        remote.add(known, Here(image.id, self._blobs))
        return bool(known.results)


def _at_client(option: CacheOption, asker: Asker) -> AtClient:
    source, digest = option.attrs.get("src", ""), option.attrs.get("digest", "")
    if not source or not digest:
        raise InvalidRequest("a local cache import needs a src and a digest")
    if not asker.sessions:
        raise InvalidRequest("a local cache is read through the client's session")
    name = f"local:{source}"
    return AtClient(name, asker.sessions[0].store(name), Digest.parse(digest))


async def _manifests(place: Place, media_type: str, data: bytes) -> list[bytes]:
    """Return the manifests of an image, or of an index's images."""
    if media_type in oci.MANIFESTS:
        return [data]
    listed = strictjson.decode(data, Index, "index").manifests
    images = [
        one
        for one in listed
        if one.media_type in oci.MANIFESTS and oci.ATTESTATION_KIND not in (one.annotations or {})
    ]
    return [await place.document(one) for one in images[:MOST_MANIFESTS]]


async def _inline(place: Place, manifest: bytes, known: Known) -> None:
    """Add what an image of a registry says of its own layers."""
    said = strictjson.decode(manifest, Manifest, "manifest")
    if said.config.media_type not in oci.CONFIGS:
        return
    _read_inline(await small(place, said.config), said.layers, known)


def _read_inline(data: bytes, listed: Sequence[Descriptor], known: Known) -> None:
    """Add what an image's configuration says of its layers."""
    diff_ids = strictjson.decode(data, ImageConfig, "image configuration").rootfs.diff_ids
    if len(diff_ids) != len(listed):
        return
    layers = [
        Travelling(_plain(layer), Digest.parse(diff_id))
        for layer, diff_id in zip(listed, diff_ids, strict=True)
    ]
    for one in inline.read(data, len(layers)):
        known.results.setdefault(one.called, tuple(layers[: one.layer + 1]))
        known.steps.add(one.called)
        for key in one.keys:
            known.identities.setdefault(key, one.called)


def _plain(layer: Descriptor) -> Descriptor:
    return Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.size)
