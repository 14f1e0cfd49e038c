"""Removing what an image has for some platforms: the index stays whole, their content goes."""

from __future__ import annotations

from collections.abc import Sequence

from boxship.content.store import Blobs
from boxship.errors import Conflict
from boxship.image import record, removal
from boxship.image.catalog import Catalog
from boxship.image.errors import ImageInUse
from boxship.image.needs import Users
from boxship.image.record import Image, Variant
from boxship.image.removal import Removed
from boxship.model.ids import short
from boxship.spec.platform import Platform


def remove(
    catalog: Catalog,
    users: Users,
    blobs: Blobs,
    ref: str,
    platforms: Sequence[Platform],
    *,
    force: bool,
) -> list[Removed]:
    """Remove an image's content for these platforms; all of the image where no other is left."""
    image, _ = catalog.find(ref)
    chosen = [record.choose(image, platform, ref).variant for platform in platforms]
    gone = {variant.descriptor.digest for variant in chosen}
    left = [v for v in image.variants if v.is_image and v.descriptor.digest not in gone]
    if not left:
        return removal.remove(catalog, users, ref, force=force, prune=True)
    if image.variant.descriptor.digest in gone:
        _check_users(image, users, force=force)
    parts = [v for v in image.variants if {v.descriptor.digest, v.attestation_of} & gone]
    for variant in parts:
        _check_shared(catalog, image, variant)
    for variant in parts:
        # What a manifest leads to is collected once nobody can be led there.
        if not blobs.delete(variant.descriptor.digest):
            raise Conflict(f"{variant.descriptor.digest} is in use by another operation")
    catalog.refresh(image.id)
    return [Removed(variant.descriptor.digest) for variant in chosen]


def _check_users(image: Image, users: Users, *, force: bool) -> None:
    """Raise where a container has the variant that this host runs."""
    using = users.using(image.id)
    running = [user for user in using if user.running]
    if running:
        why = f"image is being used by running container {short(running[0].id)}"
        raise ImageInUse.deleting(image.id.short, why, hard=True)
    if using and not force:
        why = f"image is being used by stopped container {short(using[0].id)}"
        raise ImageInUse.deleting(image.id.short, why, hard=False)


def _check_shared(catalog: Catalog, image: Image, variant: Variant) -> None:
    """Raise where a manifest belongs to another image too."""
    for other in catalog.all():
        if other.id != image.id and variant.descriptor.digest in other.content:
            why = f"its manifest belongs to image {other.id.short} too"
            raise ImageInUse.deleting(variant.descriptor.digest.short, why, hard=True)
