"""Pulling: a name becomes documents, layers and a record.

    HEAD name ── known and whole? ── up to date
    GET name ── index? ── GET the manifest for the platform ── GET its configuration
    layers ── fetched, verified, unpacked, several at once (pull_layers)
    record: all of the image, or nothing

An index is kept whole, and so are all bytes; of what it lists only the wanted platform's manifest
is fetched, with the attestations that belong to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from boxship.content.store import Blobs, Lease
from boxship.distribution.auth import Credentials
from boxship.distribution.client import Manifest, Registry
from boxship.distribution.errors import RegistryError, Unreachable, Untrusted, WrongAnswer
from boxship.distribution.pool import Pool
from boxship.errors import NotSupported
from boxship.image import record
from boxship.image.errors import NoSuchImage, NoSuchPlatform, ReservedName, WrongPlatform
from boxship.image.images import Images
from boxship.image.pull_layers import Layers, Origin, Wanted
from boxship.image.record import Image, Variant
from boxship.image.refusals import explained
from boxship.image.telling import Tell, Told
from boxship.lib import strictjson
from boxship.lib.finishing import in_thread
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, ImageConfig, Index
from boxship.spec.oci.image import Manifest as ImageManifest
from boxship.spec.platform import Platform, best
from boxship.spec.reference import HUB, Reference

CONFIG_LIMIT: Final = strictjson.SIZE
UNSAID: Final = 16  # manifests looked into because their index does not say for what they are
TAGS: Final = 10_000
STATEMENTS: Final = 16 << 20  # of attestations, for one image


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest of the wanted platform, read."""

    manifest: Manifest
    variant: Variant


class Pulls:
    """Brings images from registries; for one event loop."""

    def __init__(self, images: Images, blobs: Blobs, snapshots: Snapshots, pool: Pool) -> None:
        self._images = images
        self._blobs = blobs
        self._snapshots = snapshots
        self._pool = pool
        self._layers = Layers(blobs, snapshots, pool.settings.downloads)

    def settings_changed(self) -> None:
        """Heed the settings of the pool."""
        self._layers.limit(self._pool.settings.downloads)

    def close(self) -> None:
        """Let go of the threads."""
        self._layers.close()

    async def pull(
        self,
        reference: Reference,
        credentials: Credentials,
        tell: Tell,
        platform: Platform | None = None,
    ) -> Image:
        """Have what a name means here and unpacked; the name then points to it."""
        wanted = _named(reference)
        builtin = await self._builtin(wanted, platform)
        if builtin is not None:
            return self._told(wanted, builtin, tell, news=True)
        registry = Registry(wanted.host, credentials, self._pool)
        try:
            here = await self._up_to_date(registry, wanted, platform)
            if here is not None:
                tell(_pulling(wanted))
                return self._told(wanted, here, tell, news=False)
            manifest = await registry.resolve(wanted.path, _version(wanted))
            tell(_pulling(wanted))
            return await self._take(registry, wanted, manifest, platform, tell)
        except RegistryError as error:
            raise explained(error, wanted, registry.credentials) from error

    async def pull_all(
        self,
        repository: Reference,
        credentials: Credentials,
        tell: Tell,
        platform: Platform | None = None,
    ) -> Sequence[Image]:
        """Pull every tag of a repository."""
        registry = Registry(repository.host, credentials, self._pool)
        try:
            tags = await registry.tags(repository.path, limit=TAGS)
        except RegistryError as error:
            raise explained(error, repository, registry.credentials) from error
        found = [
            await self.pull(repository.with_tag(tag), credentials, tell, platform) for tag in tags
        ]
        if not found:
            raise NoSuchImage(repository.familiar)
        return found

    async def _builtin(self, wanted: Reference, platform: Platform | None) -> Image | None:
        """Return an image that the engine carries in itself."""
        if wanted.host != HUB or wanted.digest is not None:
            return None
        if platform is not None and not platform.is_exactly(self._images.host):
            return None
        return await asyncio.to_thread(self._images.builtin, wanted.familiar)

    async def _up_to_date(
        self, registry: Registry, wanted: Reference, platform: Platform | None
    ) -> Image | None:
        """Return the image that is here if the registry would give the same."""
        here = self._images.find(str(wanted))
        if here is None or not self._is_whole(here, platform):
            return None
        if wanted.digest is not None:
            return here if here.id == wanted.digest else None
        try:
            there = await registry.head_manifest(wanted.path, _version(wanted))
        except (Unreachable, Untrusted):
            raise
        except RegistryError:
            return None  # asked for whole, the registry says why
        return here if here.id == there.digest else None

    def _is_whole(self, image: Image, platform: Platform | None) -> bool:
        """Whether nothing of the variant that is meant is missing."""
        if platform is not None:
            try:
                image = record.choose(image, platform, "")
            except WrongPlatform:
                return False
        chain = image.chain_id
        return all(self._blobs.has(about.digest) for about in image.variant.content) and (
            chain is None or self._snapshots.has_layer(chain)
        )

    async def _take(
        self,
        registry: Registry,
        wanted: Reference,
        target: Manifest,
        platform: Platform | None,
        tell: Tell,
    ) -> Image:
        """Bring all that belongs to a manifest or index, then record it."""
        async with in_thread(self._images.working_on()) as lease:
            await self._keep(target, lease)
            found = await self._choose(registry, wanted, target, platform, lease)
            origin = Origin(registry, wanted.path)
            await self._layers.bring(_layers(found.variant), origin, lease, tell)
            if target.media_type in oci.INDEXES:
                await self._attestations(registry, wanted, target, found.manifest, lease)
            image = await asyncio.to_thread(self._record, target, wanted)
        return self._told(wanted, image, tell, news=True)

    def _record(self, target: Manifest, wanted: Reference) -> Image:
        image = record.read(self._blobs, target.descriptor, self._images.host)
        return self._images.add(image, [str(wanted)])

    async def _keep(self, document: Manifest, lease: Lease) -> None:
        await asyncio.to_thread(self._blobs.put, document.data, lease)

    async def _choose(
        self,
        registry: Registry,
        wanted: Reference,
        target: Manifest,
        platform: Platform | None,
        lease: Lease,
    ) -> Found:
        """Return the manifest that is meant, with its documents stored."""
        if target.media_type in oci.MANIFESTS:
            found = await self._read(registry, wanted, target, None, lease)
            config = found.variant.config
            if platform is not None and config is not None:
                fit = best([config.platform], platform)
                if fit is None:
                    raise WrongPlatform(wanted.familiar, config.platform, platform)
            return found
        asked = platform or self._images.host
        for about in await self._candidates(registry, wanted, target, asked, lease, 0):
            manifest = await self._fetch(registry, wanted, about, lease)
            found = await self._read(registry, wanted, manifest, about, lease)
            config = found.variant.config
            if about.platform is not None or (
                config and best([config.platform], asked) is not None
            ):
                return found
        raise NoSuchPlatform(asked)

    async def _candidates(
        self,
        registry: Registry,
        wanted: Reference,
        index: Manifest,
        asked: Platform,
        lease: Lease,
        depth: int,
    ) -> list[Descriptor]:
        """Return which of an index's manifests to try: the one for the platform, if it is said."""
        listed = strictjson.decode(index.data, Index, "index").manifests
        if len(listed) > record.MANIFESTS or depth > record.NESTING:
            raise WrongAnswer("an index with too many manifests")
        unsaid: list[Descriptor] = []
        images: list[Descriptor] = []
        for about in listed:
            if about.media_type in oci.INDEXES and about.platform is None:
                inner = await self._fetch(registry, wanted, about, lease)
                found = await self._candidates(registry, wanted, inner, asked, lease, depth + 1)
                images += [one for one in found if one.platform is not None]
                unsaid += [one for one in found if one.platform is None]
            elif about.media_type in oci.MANIFESTS:
                (unsaid if about.platform is None else images).append(about)
        platforms = [about.platform.value() for about in images if about.platform is not None]
        exact = [n for n, p in enumerate(platforms) if p.is_exactly(asked)]
        at = exact[0] if exact else best(platforms, asked)
        return [images[at]] if at is not None else unsaid[:UNSAID]

    async def _fetch(
        self, registry: Registry, wanted: Reference, about: Descriptor, lease: Lease
    ) -> Manifest:
        """Fetch a document that an index lists, which must be what it says of it."""
        if self._blobs.has(about.digest):
            data = await asyncio.to_thread(self._blobs.read, about.digest)
            found = Manifest(oci.read_kind(data, about.media_type), about.digest, data)
            lease.hold(about.digest)
        else:
            found = await registry.resolve(wanted.path, about.digest, (about.media_type,))
        if len(found.data) != about.size or found.media_type != about.media_type:
            raise WrongAnswer(f"{about.digest} is not what its index says of it")
        await self._keep(found, lease)
        return found

    async def _read(
        self,
        registry: Registry,
        wanted: Reference,
        manifest: Manifest,
        about: Descriptor | None,
        lease: Lease,
    ) -> Found:
        """Read a manifest, and the configuration that it points to."""
        document = strictjson.decode(manifest.data, ImageManifest, "manifest")
        pointer = document.config
        if pointer.media_type not in oci.CONFIGS:
            raise NotSupported(
                f"{wanted.familiar} is not an image: unsupported media type "
                f"{pointer.media_type[:100]}"
            )
        data = await self._config(registry, wanted.path, pointer, lease)
        config = strictjson.decode(data, ImageConfig, "image configuration")
        if len(config.rootfs.diff_ids) != len(document.layers):
            raise WrongAnswer(
                f"invalid manifest, layers length mismatch: expected "
                f"{len(config.rootfs.diff_ids)}, got {len(document.layers)}"
            )
        if any(layer.size < 0 for layer in document.layers):
            raise WrongAnswer("invalid manifest: a layer with a negative size")
        variant = Variant(about or manifest.descriptor, config.platform, None, document, config)
        return Found(manifest, variant)

    async def _config(
        self, registry: Registry, repository: str, pointer: Descriptor, lease: Lease
    ) -> bytes:
        if self._blobs.has(pointer.digest):
            lease.hold(pointer.digest)
            return await asyncio.to_thread(self._blobs.read, pointer.digest)
        data = await registry.small_blob(repository, pointer.digest, pointer.size, CONFIG_LIMIT)
        await asyncio.to_thread(self._blobs.put, data, lease)
        return data

    async def _attestations(
        self,
        registry: Registry,
        wanted: Reference,
        index: Manifest,
        about: Manifest,
        lease: Lease,
    ) -> None:
        """Fetch what an index attests of a manifest, as far as it is not too large."""
        left = STATEMENTS
        for one in strictjson.decode(index.data, Index, "index").manifests:
            if (one.annotations or {}).get(oci.ATTESTATION_OF) != about.digest:
                continue
            manifest = await self._fetch(registry, wanted, one, lease)
            document = strictjson.decode(manifest.data, ImageManifest, "manifest")
            for part in (document.config, *document.layers):
                left -= part.size
                if part.size < 0 or left < 0:
                    return
                if self._blobs.has(part.digest):
                    lease.hold(part.digest)
                    continue
                data = await registry.small_blob(wanted.path, part.digest, part.size, STATEMENTS)
                await asyncio.to_thread(self._blobs.put, data, lease)

    def _told(self, wanted: Reference, image: Image, tell: Tell, *, news: bool) -> Image:
        self._images.announce_pull(image, wanted)
        tell(Told(f"Digest: {image.id}"))
        said = "Downloaded newer image for" if news else "Image is up to date for"
        tell(Told(f"Status: {said} {wanted.familiar}"))
        return image


def _named(reference: Reference) -> Reference:
    """Return the name that is pulled: with a tag, or with a digest alone."""
    if reference.host == HUB and reference.path == "library/scratch":
        raise ReservedName("scratch")
    if reference.digest is not None:
        return reference.with_digest(reference.digest)
    return reference.with_default_tag()


def _version(wanted: Reference) -> str:
    return wanted.digest or wanted.tag or ""


def _pulling(wanted: Reference) -> Told:
    return Told(f"Pulling from {wanted.path}", _version(wanted))


def _layers(variant: Variant) -> list[Wanted]:
    """Return the layers of a variant, each knowing the one below."""
    assert variant.manifest is not None
    found: list[Wanted] = []
    both = zip(variant.manifest.layers, variant.diff_ids, variant.chains, strict=True)
    for layer, diff_id, chain in both:
        found.append(Wanted(layer, diff_id, chain, found[-1] if found else None))
    return found
