"""Images as the Engine API shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from boxship.api import versions
from boxship.api.version import ApiVersion
from boxship.api.versions import images as _older_versions  # noqa: F401 (registers its steps)
from boxship.distribution.search import Hit
from boxship.image.attestations import Statement
from boxship.image.images import Image, Images, Removed, Step, created_at
from boxship.image.record import Variant
from boxship.image.telling import InsteadOfIndex, Pushed, Telling, Told
from boxship.lib import moments, strictjson
from boxship.spec.digest import Digest
from boxship.spec.engine.common import DriverData, OCIDescriptor, OCIPlatform
from boxship.spec.engine.image import (
    AttestationStatement,
    BuildIdentity,
    Identity,
    ImageDeleteResponseItem,
    ImageHistoryResponseItem,
    ImageInspect,
    ImageInspectMetadata,
    ImageInspectRootFS,
    ImageManifestSummary,
    ImageManifestSummaryAttestationData,
    ImageManifestSummaryImageData,
    ImageManifestSummaryImageDataSize,
    ImageManifestSummarySize,
    ImageSummary,
    PullIdentity,
)
from boxship.spec.oci.image import Descriptor
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

SECOND = 1_000_000_000
NEVER = "0001-01-01T00:00:00Z"
MOST_KEPT = 32  # images, in one version each


def names(image: Image) -> list[str]:
    """Return an image's names as people use them."""
    found = (Reference.parse(name) for name in image.names)
    return [name.familiar for name in found if name.digest is None]


def digests(image: Image) -> list[str]:
    """Return an image's names by digest."""
    repositories = {Reference.parse(name).familiar_repository for name in image.names}
    return [f"{repository}@{image.id}" for repository in sorted(repositories)]


def summary(
    images: Images,
    image: Image,
    *,
    manifests: bool = False,
    shared: bool = False,
    identity: bool = False,
) -> ImageSummary:
    """Return an image as a list shows it."""
    return ImageSummary(
        id=str(image.id),
        parent_id=str(image.parent or ""),
        repo_tags=names(image),
        repo_digests=digests(image),
        created=created_at(image),
        size=images.size(image),
        shared_size=images.shared_size(image) if shared else -1,
        labels=image.labels,
        containers=images.users(image),
        manifests=variants(images, image, identity=identity) if manifests else None,
        descriptor=descriptor(image.descriptor),
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """What was told of an image, which is true for as long as image and size are the same."""

    image: Image
    size: int
    body: bytes


class Inspection:
    """Tells all of images, and keeps what was told of the last ones as it was sent."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Digest, ApiVersion], Shown] = {}

    def of(self, images: Images, image: Image, version: ApiVersion) -> bytes:
        """Return all that is told of one image, as JSON."""
        key, size = (image.id, version), images.size(image)
        kept = self._kept.get(key)
        if kept is None or kept.image is not image or kept.size != size:
            document = versions.reshape(inspected(images, image), version)
            kept = Shown(image, size, strictjson.encode(document) + b"\n")
            self._kept.pop(key, None)
            self._kept[key] = kept
            if len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return kept.body


def inspected(images: Images, image: Image, *, manifests: bool = False) -> ImageInspect:
    """Return all that is told of one image."""
    config = image.config
    tagged = image.tagged_at
    return ImageInspect(
        id=str(image.id),
        descriptor=descriptor(image.descriptor),
        manifests=variants(images, image) if manifests else None,
        identity=origin(image),
        repo_tags=names(image),
        repo_digests=digests(image),
        comment=config.comment or _last_comment(image),
        created=image.created or None,
        author=config.author,
        config=image.run,
        architecture=config.architecture,
        variant=config.variant or None,
        os=config.os,
        os_version=config.os_version or None,
        size=images.size(image),
        graph_driver=DriverData(name=images.driver),
        root_fs=ImageInspectRootFS(type="layers", layers=[str(d) for d in image.variant.diff_ids]),
        metadata=ImageInspectMetadata(
            last_tag_time=moments.show(tagged * SECOND) if tagged else NEVER
        ),
    )


def _last_comment(image: Image) -> str:
    history = image.config.history or []
    return history[-1].comment if history else ""


def descriptor(about: Descriptor) -> OCIDescriptor:
    """Return a pointer to content."""
    said = about.platform
    return OCIDescriptor(
        media_type=about.media_type,
        digest=str(about.digest),
        size=about.size,
        annotations=about.annotations,
        platform=msgspec.convert(msgspec.to_builtins(said), OCIPlatform) if said else None,
    )


def origin(image: Image) -> Identity | None:
    """Return where an image came from, as far as the engine itself knows it."""
    if not (image.origins or image.builds):
        return None
    return Identity(
        pull=[PullIdentity(repository=one) for one in image.origins] or None,
        build=[
            BuildIdentity(ref=one.ref, created_at=moments.show(one.created_at))
            for one in image.builds
        ]
        or None,
    )


def variants(images: Images, image: Image, *, identity: bool = False) -> list[ImageManifestSummary]:
    """Return each manifest of an image; containers have the one that this host runs."""
    found = []
    for one in image.variants:
        shown = variant(images, one)
        if shown.image_data is not None:
            if one.descriptor.digest == image.variant.descriptor.digest:
                shown.image_data.containers = list(images.using(image))
            if identity:
                shown.image_data.identity = origin(image)
        found.append(shown)
    return found


def statement(one: Statement) -> AttestationStatement:
    """Return what is attested of an image."""
    return AttestationStatement(
        descriptor=descriptor(one.descriptor),
        predicate_type=one.predicate,
        statement=one.document,
    )


def variant(images: Images, one: Variant) -> ImageManifestSummary:
    """Return one manifest of an image."""
    here = [about for about in one.content if images.has(about.digest)]
    size = sum(about.size for about in here)
    unpacked = images.unpacked(one)
    shown = ImageManifestSummary(
        id=str(one.descriptor.digest),
        descriptor=descriptor(one.descriptor),
        available=one.manifest is not None and len(here) == len(one.content),
        size=ImageManifestSummarySize(total=size + unpacked, content=size),
        kind="unknown",
    )
    if one.attestation_of is not None:
        shown.kind = "attestation"
        shown.attestation_data = ImageManifestSummaryAttestationData(for_=str(one.attestation_of))
    elif one.is_image or one.manifest is None:
        platform = one.platform or Platform("", "")
        shown.kind = "image"
        shown.image_data = ImageManifestSummaryImageData(
            platform=OCIPlatform(
                architecture=platform.architecture,
                os=platform.os,
                variant=platform.variant or None,
            ),
            containers=[],
            size=ImageManifestSummaryImageDataSize(unpacked=unpacked),
        )
    return shown


def step(one: Step) -> ImageHistoryResponseItem:
    """Return one line of a history."""
    return ImageHistoryResponseItem(
        id=one.id,
        created=one.created,
        created_by=one.created_by,
        tags=list(one.tags),
        size=one.size,
        comment=one.comment,
    )


def removed(one: Removed) -> ImageDeleteResponseItem:
    """Return one thing that went."""
    if one.untagged:
        return ImageDeleteResponseItem(untagged=one.untagged)
    return ImageDeleteResponseItem(deleted=str(one.image))


def layer_progress(id: str, status: str, current: int, total: int) -> dict[str, Any]:
    """Return how far a layer is."""
    return {"status": status, "progressDetail": {"current": current, "total": total}, "id": id}


def told(one: Telling) -> dict[str, Any]:
    """Return what a pull or a push says."""
    match one:
        case Pushed(tag, digest, size):
            return {"status": f"{tag}: digest: {digest} size: {size}"}
        case InsteadOfIndex(index, manifest):
            return {
                "aux": {
                    "manifestPushedInsteadOfIndex": True,
                    "originalIndex": descriptor(index),
                    "selectedManifest": descriptor(manifest),
                }
            }
        case Told(status, id, current, total, layer):
            if total:
                return layer_progress(id, status, current, total)
            said: dict[str, Any] = {"status": status}
            if layer:
                said["progressDetail"] = {}
            return said | ({"id": id} if id else {})


def pushed(one: Telling) -> list[dict[str, Any]]:
    """Return what a push says: of its end, what programs read too."""
    if isinstance(one, Pushed):
        aux = {"Tag": one.tag, "Digest": str(one.digest), "Size": one.size}
        return [told(one), {"progressDetail": {}, "aux": aux}]
    return [told(one)]


def hit(one: Hit) -> dict[str, Any]:
    """Return a repository that a search found."""
    return {
        "star_count": one.star_count,
        "is_official": one.is_official,
        "name": one.name,
        "is_automated": one.is_automated,
        "description": one.description or "",
    }
