"""What may be removed, and what goes with it: Docker's rules.

By name: the name goes, and the image with it when that was the last one. By ID: all names go when
they are of one repository. A container, running or not, or a child keeps an image; force overrules
all but a running container and a child.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from boxship.image.catalog import Catalog
from boxship.image.errors import ImageInUse
from boxship.image.needs import Users
from boxship.image.record import Image
from boxship.model.ids import short
from boxship.spec.digest import Digest
from boxship.spec.reference import Reference


@dataclass(frozen=True, slots=True)
class Removed:
    """One thing that went: a name, or an image."""

    image: Digest
    untagged: str = ""

    @property
    def deleted(self) -> Digest | None:
        """The image, where it is that which went."""
        return None if self.untagged else self.image


def remove(catalog: Catalog, users: Users, ref: str, *, force: bool, prune: bool) -> list[Removed]:
    """Remove what `ref` means, if the rules allow it."""
    image, name = catalog.find(ref)
    removed: list[Removed] = []
    if name is not None:
        gone = _named(image, name)
        if len(image.names) == len(gone) and not force:
            using = users.using(image.id)
            if using:
                raise ImageInUse.untagging(ref, short(using[0].id), image.id.short)
        catalog.unpoint(gone)
        removed += _untagged(image, gone)
        image = catalog.get(image.id) or image
        if image.names:
            return removed
        _delete(catalog, users, image, removed, force=force, prune=prune, quiet=True)
        return removed
    _check(catalog, users, image, force=force, by_id=True)
    _delete(catalog, users, image, removed, force=force, prune=prune, quiet=False)
    return removed


def forget(catalog: Catalog, image: Image) -> list[Removed]:
    """Remove an image that nothing uses, with its names; not one that has children."""
    if catalog.children(image.id):
        return []
    catalog.drop(image.id)
    return [*_untagged(image, image.names), Removed(image.id)]


def _named(image: Image, name: Reference) -> tuple[str, ...]:
    """The names that go: one tag, or those of a repository whose digest was named."""
    if name.digest is None:
        return (str(name),)
    return tuple(n for n in image.names if Reference.parse(n).repository == name.repository)


def _untagged(image: Image, names: Sequence[str]) -> list[Removed]:
    return [Removed(image.id, Reference.parse(name).familiar) for name in names]


def _check(catalog: Catalog, users: Users, image: Image, *, force: bool, by_id: bool) -> None:
    """Raise where something keeps an image."""
    using = users.using(image.id)
    running = [user for user in using if user.running]
    if running:
        raise ImageInUse.deleting(
            image.id.short,
            f"image is being used by running container {short(running[0].id)}",
            hard=True,
        )
    if catalog.children(image.id):
        raise ImageInUse.deleting(image.id.short, "image has dependent child images", hard=True)
    if force:
        return
    repositories = {Reference.parse(name).repository for name in image.names}
    if by_id and (len(repositories) > 1 or len(image.names) > 1):
        raise ImageInUse.deleting(
            image.id.short, "image is referenced in multiple repositories", hard=False
        )
    if using:
        raise ImageInUse.deleting(
            image.id.short,
            f"image is being used by stopped container {short(using[0].id)}",
            hard=False,
        )


def _delete(
    catalog: Catalog,
    users: Users,
    image: Image,
    removed: list[Removed],
    *,
    force: bool,
    prune: bool,
    quiet: bool,
) -> None:
    """Remove the image itself, and parents that it alone kept and that have no name.

    Where its last name has just gone, an image that something keeps stays without a word.
    """
    try:
        _check(catalog, users, image, force=force, by_id=False)
    except ImageInUse:
        if quiet:
            return
        raise
    catalog.drop(image.id)
    removed += _untagged(image, image.names)
    removed.append(Removed(image.id))
    parent = catalog.get(image.parent) if image.parent and prune else None
    if parent is not None and not parent.names:
        _delete(catalog, users, parent, removed, force=False, prune=True, quiet=True)
