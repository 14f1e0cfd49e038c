"""Which images there are and what they are called: in memory, and written through."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from boxship.content.errors import NoSuchBlob, WrongContent
from boxship.content.store import Blobs
from boxship.errors import InvalidRequest
from boxship.image import record, tables
from boxship.image.errors import AmbiguousId, NoSuchImage
from boxship.image.record import Build, Image
from boxship.spec.digest import Digest
from boxship.spec.oci.image import Descriptor
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference
from boxship.store.database import Database

ID: Final = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})", re.ASCII)
LOG: Final = logging.getLogger(__name__)
BUILDS: Final = 16  # kept of each image


class Catalog:
    """The records of images; safe to use from any thread."""

    def __init__(self, database: Database, blobs: Blobs, host: Platform) -> None:
        self._database = database
        self._blobs = blobs
        self._host = host
        self._turn = threading.RLock()
        self._images: dict[Digest, Image] = {}
        self._names: dict[str, Digest] = {}
        self.damaged: set[str] = set()  # images that are recorded and cannot be read
        database.migrate("image", tables.MIGRATIONS)
        for name, row in self._rows():
            self._remember(name, row)

    def _rows(self) -> Iterable[tuple[Image, list[tuple[str, int]]]]:
        """Read the images; one whose content is gone or damaged is left out, and said."""
        names: dict[str, list[tuple[str, int]]] = {}
        for name, image, tagged_at in self._database.rows(tables.NAMES):
            names.setdefault(image, []).append((name, tagged_at))
        origins: dict[str, list[str]] = {}
        for image, repository in self._database.rows(tables.ORIGINS):
            origins.setdefault(image, []).append(repository)
        builds: dict[str, list[Build]] = {}
        for image, ref, created_at in self._database.rows(tables.BUILDS):
            builds.setdefault(image, []).append(Build(ref, created_at))
        for id, media_type, size, parent in self._database.rows(tables.ALL):
            descriptor = Descriptor(media_type=media_type, digest=Digest.parse(id), size=size)
            try:
                image = record.read(self._blobs, descriptor, self._host)
            except (NoSuchBlob, WrongContent, InvalidRequest, OSError) as error:
                self.damaged.add(id)
                LOG.warning("image %s cannot be read and is left out: %s", id, error)
                continue
            above = Digest.parse(parent) if parent else None
            image = replace(
                image,
                parent=above,
                origins=tuple(origins.get(id, ())),
                builds=tuple(builds.get(id, ())),
            )
            yield image, names.get(id, [])

    def _remember(self, image: Image, names: list[tuple[str, int]]) -> None:
        tagged = max((at for _, at in names), default=0)
        image = replace(image, names=tuple(sorted(name for name, _ in names)), tagged_at=tagged)
        self._images[image.id] = image
        for name in image.names:
            self._names[name] = image.id

    def all(self) -> list[Image]:
        """Return every image."""
        with self._turn:
            return list(self._images.values())

    def get(self, id: Digest) -> Image | None:
        """Return the image of an ID."""
        return self._images.get(id)

    def whole(self, descriptor: Descriptor) -> Image | None:
        """Return an image that is recorded so, with no document of any variant missing."""
        known = self._images.get(descriptor.digest)
        return known if known and known.is_whole and known.descriptor == descriptor else None

    def named(self, name: str) -> Digest | None:
        """Return what a canonical name points to."""
        return self._names.get(name)

    def children(self, id: Digest) -> list[Image]:
        """Return the images committed from one."""
        return [image for image in self.all() if image.parent == id]

    def find(self, ref: str) -> tuple[Image, Reference | None]:
        """Return the image that `ref` means, and the name where it was found by one.

        A whole ID comes first, then a name, then a prefix of an ID: of the image itself, of
        one of its manifests or of its configuration.
        """
        with self._turn:
            whole = ID.fullmatch(ref)
            if whole and len(whole[1]) == 64:
                return self._by_id(ref, whole[1]), None
            if ref.startswith("sha256:") and whole:
                return self._by_id(ref, whole[1]), None
            reference = Reference.parse(ref)
            if (found := self._by_name(reference)) is not None:
                return found, reference.with_default_tag()
            if whole:
                return self._by_id(ref, whole[1]), None
            raise NoSuchImage(reference.with_default_tag().familiar)

    def _by_name(self, reference: Reference) -> Image | None:
        if reference.digest is not None:
            image = self._holding(reference.digest.hex)
            names = (Reference.parse(name) for name in image.names) if image else ()
            return image if any(n.repository == reference.repository for n in names) else None
        id = self._names.get(str(reference.with_default_tag()))
        return None if id is None else self._images[id]

    def _by_id(self, ref: str, digits: str) -> Image:
        image = self._holding(digits)
        if image is None:
            raise NoSuchImage(ref if ":" in ref or len(ref) == 64 else f"{ref}:latest")
        return image

    def _holding(self, digits: str) -> Image | None:
        """Return the one image with an ID, a manifest or a configuration that begins so."""
        prefix = f"sha256:{digits}"
        own = [image for id, image in self._images.items() if id.startswith(prefix)]
        if not own:
            own = [
                image
                for image in self._images.values()
                if any(
                    v.descriptor.digest.startswith(prefix)
                    or (v.manifest is not None and v.manifest.config.digest.startswith(prefix))
                    for v in image.variants
                )
            ]
        if len(own) > 1:
            raise AmbiguousId(digits)
        return own[0] if own else None

    def has(self, images: Iterable[tuple[Image, Iterable[str]]]) -> bool:
        """Whether all of these are recorded already, under these names."""
        for image, names in images:
            known = self._images.get(image.id)
            if known is None or not set(names) <= set(known.names):
                return False
        return True

    def add(
        self, images: Iterable[tuple[Image, Iterable[str]]], now: int, *, durable: bool = True
    ) -> list[Image]:
        """Record images with the names that now point to them, all in one step."""
        with self._turn:
            added = [(image, tuple(names)) for image, names in images]
            with self._database.write(durable=durable) as tx:
                for image, names in added:
                    about = image.descriptor
                    tx.run(tables.ADD, image.id, about.media_type, about.size, image.parent)
                    for name in names:
                        tx.run(tables.POINT, name, image.id, now)
            for image, names in added:
                self._images[image.id] = self._as_known(image)
                for name in names:
                    self._move(name, image.id, now)
            return [self._images[image.id] for image, _ in added]

    def _as_known(self, image: Image) -> Image:
        """Return an image with what is recorded of it; more of its content may be here now."""
        known = self._images.get(image.id)
        if known is None:
            return replace(image, names=())
        return replace(
            image,
            names=known.names,
            parent=known.parent,
            tagged_at=known.tagged_at,
            origins=known.origins,
            builds=known.builds,
        )

    def point(self, name: str, id: Digest, now: int) -> None:
        """Point a name at an image, taking it from whichever had it."""
        with self._turn:
            if id not in self._images:
                raise NoSuchImage(id)
            with self._database.write() as tx:
                tx.run(tables.POINT, name, id, now)
            self._move(name, id, now)

    def originate(self, id: Digest, repository: str) -> None:
        """Note a repository that has, or had, an image."""
        with self._turn:
            image = self._images.get(id)
            if image is None or repository in image.origins:
                return
            with self._database.write(durable=False) as tx:
                tx.run(tables.ORIGINATE, id, repository)
            origins = tuple(sorted((*image.origins, repository)))
            self._images[id] = replace(image, origins=origins)

    def built(self, id: Digest, build: Build) -> None:
        """Note a build that an image came out of; of many, the last ones are kept."""
        with self._turn:
            image = self._images.get(id)
            if image is None:
                return
            others = [one for one in image.builds if one.ref != build.ref]
            builds = (*others, build)[-BUILDS:]
            with self._database.write(durable=False) as tx:
                tx.run(tables.BUILT, id, build.ref, build.created_at)
                tx.run(tables.BUILT_LONG_AGO, id, builds[0].created_at)
            self._images[id] = replace(image, builds=builds)

    def refresh(self, id: Digest) -> None:
        """Read an image's documents again, because what is here of them has changed."""
        with self._turn:
            descriptor = self._images[id].descriptor
            self._images[id] = self._as_known(record.read(self._blobs, descriptor, self._host))

    def unpoint(self, names: Iterable[str]) -> None:
        """Forget names."""
        with self._turn:
            gone = list(names)
            with self._database.write(frees=True) as tx:
                for name in gone:
                    tx.run(tables.UNPOINT, name)
            for name in gone:
                self._take(name)

    def drop(self, id: Digest) -> None:
        """Forget an image and its names."""
        with self._turn:
            image = self._images[id]
            with self._database.write(frees=True) as tx:
                for name in image.names:
                    tx.run(tables.UNPOINT, name)
                tx.run(tables.DELETE, id)
            for name in image.names:
                self._take(name)
            del self._images[id]

    def _move(self, name: str, id: Digest, now: int) -> None:
        self._take(name)
        image = self._images[id]
        names = tuple(sorted({*image.names, name}))
        self._names[name] = id
        self._images[id] = replace(image, names=names, tagged_at=now)

    def _take(self, name: str) -> None:
        if (id := self._names.pop(name, None)) is not None:
            image = self._images[id]
            names = tuple(known for known in image.names if known != name)
            self._images[id] = replace(image, names=names)
