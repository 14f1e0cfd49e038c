"""Pushing: what an image points to, blobs first, then manifests, the name last.

A blob is looked for, then mounted from a repository of the same registry that has it, and sent
only when neither helps; several at once. Manifests go as the bytes they are, so a pushed image
has the digest that it has here. Layers go as they are stored (docs/decisions/0030).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from boxship.content.store import Blobs, Lease
from boxship.distribution.auth import Credentials
from boxship.distribution.client import Registry, Sent
from boxship.distribution.errors import Denied, LoginNeeded, RegistryError
from boxship.distribution.pool import Pool
from boxship.errors import BoxshipError, Forbidden, InvalidRequest
from boxship.image import packing, record
from boxship.image.errors import NoSuchImage, NothingToPush
from boxship.image.images import Images
from boxship.image.places import Places
from boxship.image.record import Image, Variant
from boxship.image.refusals import DENIED
from boxship.image.telling import InsteadOfIndex, LayerTeller, Pushed, Tell, Told
from boxship.lib.finishing import in_thread
from boxship.lib.groups import first_of
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

PIECE: Final = 1 << 20


class Pushes:
    """Sends images to registries; for one event loop."""

    def __init__(self, images: Images, blobs: Blobs, pool: Pool) -> None:
        self._images = images
        self._blobs = blobs
        self._pool = pool
        self._places = Places()
        self.settings_changed()

    def settings_changed(self) -> None:
        """Heed the settings of the pool."""
        self._slots = asyncio.Semaphore(max(1, self._pool.settings.uploads))

    async def push(
        self,
        reference: Reference,
        credentials: Credentials,
        tell: Tell,
        platform: Platform | None = None,
    ) -> Pushed:
        """Send the image that a name points to, under that name."""
        if reference.digest is not None:
            raise InvalidRequest("cannot push a digest reference")
        wanted = reference.with_default_tag()
        image = self._found(wanted)
        registry = Registry(wanted.host, credentials, self._pool)
        tell(Told(f"The push refers to repository [{wanted.repository}]"))
        return await self._push(image, wanted, registry, tell, platform)

    async def push_all(
        self,
        repository: Reference,
        credentials: Credentials,
        tell: Tell,
        platform: Platform | None = None,
    ) -> Sequence[Pushed]:
        """Send every tag of a repository that is here."""
        names = sorted(
            name
            for image in self._images.list()
            for name in map(Reference.parse, image.names)
            if name.repository == repository.repository and name.tag
        )
        if not names:
            raise NothingToPush(repository.familiar_repository)
        registry = Registry(repository.host, credentials, self._pool)
        tell(Told(f"The push refers to repository [{repository.repository}]"))
        return [
            await self._push(self._found(name), name, registry, tell, platform) for name in names
        ]

    def _found(self, wanted: Reference) -> Image:
        try:
            return self._images.get(str(wanted))
        except NoSuchImage:
            raise NothingToPush(wanted.familiar) from None

    async def _push(
        self,
        image: Image,
        wanted: Reference,
        registry: Registry,
        tell: Tell,
        platform: Platform | None,
    ) -> Pushed:
        try:
            async with in_thread(self._images.working_on()) as lease:
                image = await asyncio.to_thread(self._packed, image, wanted, lease)
                parcel = self._whole(image, wanted, platform, lease, tell)
                await self._send_blobs(parcel.blobs, wanted, registry, tell)
                for manifest in parcel.manifests:
                    await self._send_manifest(registry, wanted, manifest, manifest.digest)
                target = parcel.target
                await self._send_manifest(registry, wanted, target, wanted.tag or "")
        except RegistryError as error:
            raise _explained(error) from error
        self._images.announce_push(image, wanted)
        pushed = Pushed(wanted.tag or "", target.digest, target.size)
        tell(pushed)
        return pushed

    def _packed(self, image: Image, wanted: Reference, lease: Lease) -> Image:
        """Return the image as the registry shall have it; the name moves if that is another."""
        how = self._pool.settings.of(wanted.host).compression
        made = packing.packed(image, self._blobs, lease, how) if how else None
        if made is None:
            return image
        found = record.read(self._blobs, made, self._images.host)
        return self._images.add(replace(found, parent=image.parent), [str(wanted)])

    def _whole(
        self,
        image: Image,
        wanted: Reference,
        platform: Platform | None,
        lease: Lease,
        tell: Tell,
    ) -> Parcel:
        """Say what to send, all of which is here.

        Of an index that is here in part, the one manifest that is whole goes in its place.
        """
        parcel = _parcel(image, wanted, platform)
        missing = [one for one in parcel.content if not self._held(one.digest, lease)]
        if not missing:
            return parcel
        whole = [
            variant
            for variant in image.variants
            if variant.is_image and all(self._blobs.has(about.digest) for about in variant.content)
        ]
        if platform is not None or len(whole) != 1:
            raise NothingToPush(wanted.familiar, str(missing[0].digest))
        chosen = Parcel(_blobs(whole), (), _bare(whole[0].descriptor))
        tell(InsteadOfIndex(image.descriptor, chosen.target))
        return chosen

    def _held(self, digest: Digest, lease: Lease) -> bool:
        lease.hold(digest)
        return self._blobs.has(digest)

    async def _send_manifest(
        self, registry: Registry, wanted: Reference, about: Descriptor, name: str
    ) -> None:
        data = await asyncio.to_thread(self._blobs.read, about.digest)
        await registry.put_manifest(wanted.path, name, about.media_type, data)

    async def _send_blobs(
        self, content: Sequence[Descriptor], wanted: Reference, registry: Registry, tell: Tell
    ) -> None:
        digests = [about.digest for about in content]
        places = await asyncio.to_thread(self._places.elsewhere, self._images, wanted, digests)
        tellers: list[tuple[Descriptor, LayerTeller]] = []
        for about in content:
            teller = LayerTeller(about.digest.short)
            if about.media_type not in oci.CONFIGS:
                teller.listen(tell)
                teller.say("Preparing")
            tellers.append((about, teller))
        try:
            async with asyncio.TaskGroup() as tasks:
                for about, teller in tellers:
                    tasks.create_task(
                        self._send_blob(
                            about, wanted, registry, places.get(about.digest, ""), teller
                        )
                    )
        except BaseExceptionGroup as group:
            raise first_of(group) from None  # the group leads back to it

    async def _send_blob(
        self,
        about: Descriptor,
        wanted: Reference,
        registry: Registry,
        mount_from: str,
        teller: LayerTeller,
    ) -> None:
        """Have one blob in the repository."""
        if self._slots.locked():
            teller.say("Waiting")

        async def content(start: int, end: int) -> AsyncIterator[bytes]:
            async for piece in read(self._blobs, about.digest, start, end):
                yield piece
                start += len(piece)
                teller.figure("Pushing", start, about.size)

        async with self._slots:
            sent = await registry.upload_blob(
                wanted.path,
                about.digest,
                about.size,
                content,
                mount_from=mount_from,
            )
        self._places.saw(wanted.host, wanted.path, about.digest)
        match sent:
            case Sent.EXISTED:
                teller.say("Layer already exists")
            case Sent.MOUNTED:
                teller.say(f"Mounted from {mount_from}")
            case Sent.PUSHED:
                teller.say("Pushed")


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent: blobs, the manifests below the target, then the target under the name."""

    blobs: Sequence[Descriptor]
    manifests: Sequence[Descriptor]
    target: Descriptor

    @property
    def content(self) -> Sequence[Descriptor]:
        """All of it."""
        return [*self.blobs, *self.manifests, self.target]


def _parcel(image: Image, wanted: Reference, platform: Platform | None) -> Parcel:
    """Say what to send: one platform's manifest, or all that the name points to."""
    if platform is not None:
        image = record.choose(image, platform, wanted.familiar)
        return Parcel(_blobs([image.variant]), (), _bare(image.variant.descriptor))
    manifests = [v.descriptor for v in image.variants if v.descriptor.digest != image.id]
    inner = [index for index in image.indexes if index.digest != image.id]
    return Parcel(_blobs(image.variants), [*manifests, *reversed(inner)], image.descriptor)


def _blobs(variants: Sequence[Variant]) -> list[Descriptor]:
    """Return what manifests point to, each once; layers before configurations."""
    found: dict[Digest, Descriptor] = {}
    for variant in variants:
        if variant.manifest is not None:
            for about in (*variant.manifest.layers, variant.manifest.config):
                found.setdefault(about.digest, about)
    return list(found.values())


def _bare(about: Descriptor) -> Descriptor:
    return Descriptor(media_type=about.media_type, digest=about.digest, size=about.size)


async def read(blobs: Blobs, digest: Digest, start: int, end: int) -> AsyncIterator[bytes]:
    """Yield a part of a blob, read in threads."""
    file = blobs.open(digest)
    try:
        while start < end:
            piece = await asyncio.to_thread(os.pread, file, min(PIECE, end - start), start)
            if not piece:
                raise OSError(f"content {digest} is shorter than it was")
            yield piece
            start += len(piece)
    finally:
        os.close(file)


class PushDenied(Forbidden):
    """The registry lets this user not write there."""


def _explained(error: RegistryError) -> BoxshipError:
    if isinstance(error, Denied | LoginNeeded) and not error.codes:
        return PushDenied(f"{DENIED} ({error})")
    return error
