"""Images: the verbs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from boxship.content.errors import NoSuchBlob
from boxship.content.store import Blobs, Lease
from boxship.errors import Conflict
from boxship.image import (
    attestations,
    builtin,
    filters,
    history,
    loading,
    making,
    record,
    removal,
    saving,
)
from boxship.image.announcing import Announcing
from boxship.image.attestations import Statement
from boxship.image.catalog import Catalog
from boxship.image.errors import NoSuchImage, PruneRunning
from boxship.image.filters import Wanted
from boxship.image.history import SECOND, Step, created_at
from boxship.image.loading import Loaded, Progress, Report
from boxship.image.making import Recipe, new_names
from boxship.image.measuring import Measured
from boxship.image.needs import Holder, Publisher, Users
from boxship.image.platforms import remove as remove_platforms
from boxship.image.record import Image
from boxship.image.removal import Removed
from boxship.lib import moments
from boxship.lib.filepart import FilePart
from boxship.snapshot.driver import ChainId
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.digest import Digest
from boxship.spec.engine.image import ImageConfig as RunConfig
from boxship.spec.oci.image import Descriptor
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference
from boxship.store.database import Database


class Images(Announcing, Measured):
    """The engine's images; safe to use from any thread."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        snapshots: Snapshots,
        host: Platform,
        users: Users,
        publisher: Publisher,
        clock: Callable[[], int] = time.time_ns,
        holders: Sequence[Holder] = (),
    ) -> None:
        """`holders` need content and layers that are no image's."""
        self.host = host
        self._holders = holders
        self._blobs = blobs
        self._snapshots = snapshots
        self._users = users
        self._publisher = publisher
        self._clock = clock
        self._catalog = Catalog(database, blobs, host)
        self._turn = threading.RLock()
        self.late: Callable[[str], Image | None] = lambda ref: None  # makes what is not there yet
        self._working = 0
        self._littered = False
        self._pruning = threading.Lock()
        self._restore()
        self.collect()

    def _restore(self) -> None:
        """Unpack again what containers stand on and a power cut has made doubtful."""
        for chain in self._snapshots.missing():
            for image in self._catalog.all():
                for variant in image.variants:
                    if chain in variant.chains:
                        self.ensure_unpacked(replace(image, variant=variant))

    # asking

    def get(self, ref: str, platform: Platform | None = None) -> Image:
        """Return the image that `ref` means, for the host or for `platform`."""
        try:
            image, _ = self._catalog.find(ref)
        except NoSuchImage:
            if (late := self.late(ref)) is None:
                raise
            image = late
        return image if platform is None else record.choose(image, platform, ref)

    def read(self, descriptor: Descriptor) -> Image:
        """Read an image's documents, unless it is recorded with all of them."""
        return self._catalog.whole(descriptor) or record.read(self._blobs, descriptor, self.host)

    def find(self, ref: str) -> Image | None:
        """Return the image that `ref` means, or None."""
        try:
            return self.get(ref)
        except NoSuchImage:
            return None

    def builtin(self, ref: str) -> Image | None:
        """Return an image that the engine carries in itself, made now if it was not yet."""
        reference = Reference.parse(ref).with_default_tag()
        recipe = builtin.recipe(reference, self.host)
        if recipe is None:
            return None
        if (id := self._catalog.named(str(reference))) is not None:
            return self._catalog.get(id)
        return self.make(recipe, [str(reference)], action="pull")

    def list(self, wanted: Wanted | None = None) -> Sequence[Image]:
        """Return the images that are wanted, the newest first."""
        every = self._catalog.all()
        if wanted is not None:
            every = filters.apply(every, wanted, self.get)
        return sorted(every, key=lambda image: (created_at(image), image.id), reverse=True)

    def count(self) -> int:
        """Return how many images there are."""
        return len(self._catalog.all())

    def users(self, image: Image) -> int:
        """Return how many containers were made from an image."""
        return len(self._users.using(image.id))

    def using(self, image: Image) -> Sequence[str]:
        """Return the containers that were made from an image."""
        return [user.id for user in self._users.using(image.id)]

    def statements(
        self,
        ref: str,
        platform: Platform | None = None,
        predicates: Collection[str] = (),
        *,
        whole: bool = False,
    ) -> Sequence[Statement]:
        """Return what is attested of an image, for the host or for `platform`."""
        image = self.get(ref, platform)
        return attestations.statements(self._blobs, image, predicates, whole=whole)

    def history(self, ref: str, platform: Platform | None = None) -> Sequence[Step]:
        """Return how an image came to be, the last step first."""
        return history.steps(self.get(ref, platform), self._snapshots.layers())

    # names

    def tag(self, ref: str, name: str) -> None:
        """Point `name` at the image that `ref` means, taking it from whichever had it."""
        image = self.get(ref)
        reference = Reference.parse(name).for_image()
        self._catalog.point(str(reference), image.id, self._now())
        self._tell("tag", image, reference.familiar)

    # making

    def load(
        self,
        pieces: Iterable[bytes],
        report: Report = lambda message: None,
        platforms: Sequence[Platform] = (),
    ) -> Sequence[Image]:
        """Take in an archive of images; all of them, or none."""
        with self._working_on() as lease:
            layers = loading.Layers(self._blobs, self._snapshots)
            try:
                contents = loading.take(pieces, self._blobs, lease, layers)
                found = loading.images(contents, self._blobs, lease, self.host, list(platforms))
                for each in found:
                    image = self._whole(each.image)
                    wanted = [record.choose(image, p, image.id) for p in platforms] or [image]
                    for chosen in wanted:
                        layers.commit(chosen.variant, lambda layer: report(loading.done(layer)))
            finally:
                layers.close()
            images = self._record([(each.image, each.names) for each in found])
        for each, image in zip(found, images, strict=True):
            for name in each.names or ("",):
                familiar = Reference.parse(name).familiar if name else str(image.id)
                report(Loaded(familiar if name else "", image.id))
                self._tell("load", image, familiar)
        return images

    def make(
        self, recipe: Recipe, names: Sequence[str], *, action: str, parent: Image | None = None
    ) -> Image:
        """Make an image of a layer and a configuration, on top of `parent` or of nothing."""
        with self._working_on() as lease:
            target = making.make(recipe, self._blobs, self._snapshots, lease, parent)
            image = record.read(self._blobs, target, self.host)
            if parent is not None:
                image = replace(image, parent=parent.id)
            (image,) = self._record([(image, names)])
        name = Reference.parse(names[0]).familiar if names else str(image.id)
        self._tell(action, image, str(image.id) if action == "create" else name)
        if action == "create" and names:
            self._tell("tag", image, name)
        return image

    def import_(
        self,
        pieces: Iterable[bytes],
        changes: Sequence[str] = (),
        name: str = "",
        platform: Platform | None = None,
        message: str = "",
        created: int | None = None,
    ) -> Image:
        """Make an image of one layer from an archive of files."""
        recipe = Recipe(
            layer=pieces,
            run=making.changed(RunConfig(), changes),
            platform=platform or self.host,
            created=moments.show(self._clock() if created is None else created),
            comment=message,
        )
        return self.make(recipe, new_names(name), action="import")

    def commit(
        self,
        parent: Image | None,
        layer: Iterable[bytes],
        run: RunConfig,
        *,
        author: str = "",
        comment: str = "",
        name: str = "",
        created_by: str = "",
    ) -> Image:
        """Make an image of what a container changed; the layer is an uncompressed tar."""
        recipe = Recipe(
            layer=layer,
            run=run,
            platform=parent.config.platform if parent else self.host,
            created=moments.show(self._clock()),
            created_by=created_by,
            author=author,
            comment=comment,
        )
        return self.make(recipe, new_names(name), action="create", parent=parent)

    def is_unpacked(self, image: Image) -> bool:
        """Whether the layers of the variant that is meant are."""
        return image.chain_id is None or self._snapshots.has_layer(image.chain_id)

    def ensure_unpacked(self, image: Image) -> None:
        """Have the layers of the variant that is meant unpacked."""
        if self.is_unpacked(image):
            return
        with self._working_on():
            self._whole(image)
            layers = loading.Layers(self._blobs, self._snapshots)
            try:
                layers.commit(image.variant, lambda layer: None)
            finally:
                layers.close()

    def unpack_again(self, chain: ChainId) -> None:
        """Throw an unpacked layer away and unpack it from its content.

        Raises Conflict where a container that runs stands on it.
        """
        standing = [i for i in self._catalog.all() if any(chain in v.chains for v in i.variants)]
        for image in standing:
            for user in self._users.using(image.id):
                if user.running:
                    raise Conflict(f"container {user.id[:12]} runs on it; stop it first")
        with self._working_on():
            layers = loading.Layers(self._blobs, self._snapshots)
            try:
                self._snapshots.remove_layer(chain)
                for variant in (v for i in standing for v in i.variants if chain in v.chains):
                    layers.commit(variant, lambda layer: None)
                    break
            finally:
                layers.close()
        self._snapshots.settle_soon()

    def forget_content(self, digest: Digest) -> None:
        """Drop a blob, though images need it: it is damaged, and can be fetched again."""
        if not self._blobs.delete(digest):
            raise Conflict(f"content {digest} is in use")
        for image in self._catalog.all():
            if digest in image.content:
                self._catalog.refresh(image.id)

    def _whole(self, image: Image) -> Image:
        """Make sure that all content of the variant that is meant is here."""
        for descriptor in image.variant.content:
            if not self._blobs.has(descriptor.digest):
                raise NoSuchBlob(descriptor.digest)
        return image

    def _record(self, images: Sequence[tuple[Image, Sequence[str]]]) -> Sequence[Image]:
        """Flush the content, then record the images; layers can be made again from it."""
        content = {digest for image, _ in images for digest in image.content}
        if self._catalog.has(images) and not self._blobs.flushing(content):
            return self._catalog.add(images, self._now(), durable=False)  # but for the time
        self._blobs.flush(content)
        added = self._catalog.add(images, self._now())
        self._snapshots.settle_soon()
        return added

    # giving out

    def working_on(self) -> AbstractContextManager[Lease]:
        """Something is being made or read: nothing is collected until it is done.

        What its lease holds and is no image's then goes; after a failure so does all such content.
        """
        return self._working_on()

    def add(self, image: Image, names: Sequence[str]) -> Image:
        """Record an image whose content has come under a lease of `working_on`."""
        return self._record([(image, names)])[0]

    def chains(self) -> set[ChainId]:
        """Return every layer that an image has."""
        return {c for image in self._catalog.all() for v in image.variants for c in v.chains}

    def layer(self, chain: ChainId) -> tuple[Descriptor, Digest] | None:
        """Return how an image that has the layer `chain` points to it, and its diff ID."""
        for image in self._catalog.all():
            for variant in image.variants:
                if variant.manifest is not None and chain in variant.chains:
                    at = variant.chains.index(chain)
                    descriptor = variant.manifest.layers[at]
                    if self._blobs.has(descriptor.digest):
                        return descriptor, variant.diff_ids[at]
        return None

    def save(
        self, refs: Sequence[str], platforms: Sequence[Platform] = ()
    ) -> Iterator[bytes | FilePart]:
        """Return the archive of images; what is not found is known before its first byte."""
        chosen = saving.choose(self._catalog, refs)
        for image, names in chosen:
            for platform in platforms:
                self._whole(record.choose(image, platform, next(iter(names), image.id)))
        content = {
            digest
            for image, _ in chosen
            for digest in saving.content(image, platforms)
            if self._blobs.has(digest)
        }
        return self._archive(chosen, content, platforms)

    def _archive(
        self,
        images: Sequence[tuple[Image, tuple[str, ...]]],
        content: set[Digest],
        platforms: Sequence[Platform],
    ) -> Iterator[bytes | FilePart]:
        with self._working_on() as lease:
            for digest in content:
                lease.hold(digest)
            yield from saving.parts(self._blobs, images, content, platforms)
        for image, names in images:
            for name in names or ("",):
                self._tell("save", image, Reference.parse(name).familiar if name else image.id)

    # removing

    def remove(self, ref: str, *, force: bool = False, prune: bool = True) -> Sequence[Removed]:
        """Take away a name, or an image with all its names; return what went."""
        with self._turn:
            removed = removal.remove(self._catalog, self._users, ref, force=force, prune=prune)
        return self._gone(removed)

    def remove_platforms(
        self, ref: str, wanted: Sequence[Platform], *, force: bool = False
    ) -> Sequence[Removed]:
        """Take away what an image has for some platforms; return what went."""
        with self._turn:
            gone = remove_platforms(
                self._catalog, self._users, self._blobs, ref, wanted, force=force
            )
            self.collect()
        return self._gone(gone)

    def prune(self, wanted: Wanted, *, every: bool = False) -> tuple[Sequence[Removed], int]:
        """Remove images that nothing uses: those without a name, or all of `every` name.

        What came of downloads that broke off goes too.
        """
        if not self._pruning.acquire(blocking=False):
            raise PruneRunning
        try:
            before = self.total_size()
            removed: list[Removed] = []
            for image in self.list(wanted):
                if (image.names and not every) or self._users.using(image.id):
                    continue
                with self._turn:
                    removed += removal.forget(self._catalog, image)
            self._gone(removed)
            freed = max(0, before - self.total_size()) + self._blobs.partials.clear()
            self._publisher.publish("image", "prune", "", {"reclaimed": str(freed)})
            return removed, freed
        finally:
            self._pruning.release()

    def _gone(self, removed: Sequence[Removed]) -> Sequence[Removed]:
        """Free what removed images alone had, and tell of it."""
        if any(each.deleted for each in removed):
            self.collect()
        for each in removed:
            if each.untagged:
                self._publisher.publish("image", "untag", each.image, {"name": each.image})
            else:
                self._publisher.publish("image", "delete", each.image, {"name": each.image})
        return removed

    def collect(self) -> None:
        """Remove content and layers that no image and no snapshot needs.

        While something is being made, its parts belong to no image yet; whoever ends last
        collects. Where an image cannot be read nobody knows what it needs, so all is kept.
        """
        with self._turn:
            self._littered = bool(self._working)
            if self._littered or self._catalog.damaged:
                return
            self._blobs.collect(self._wanted())
            self._snapshots.collect(self._wanted_layers())

    def leftovers(self) -> Iterator[str]:
        """Yield what the store holds and nobody, at work or not, has a use for."""
        with self._turn:
            if self._working or self._catalog.damaged:
                return
            wanted = self._wanted()
            blobs = [digest for digest in self._blobs.digests() if digest not in wanted]
            layers = self._snapshots.unneeded(self._wanted_layers())
        yield from (f"content {digest} belongs to no image" for digest in blobs)
        yield from (f"layer {chain} belongs to no image and no container" for chain in layers)

    def _wanted(self) -> set[Digest]:
        """Return the content that images, and others, need."""
        wanted = {digest for image in self._catalog.all() for digest in image.content}
        wanted = wanted.union(*(holder.blobs() for holder in self._holders))
        return wanted | self._blobs.bases(wanted)

    def _wanted_layers(self) -> Sequence[ChainId]:
        """Return the top layers that images, and others, need."""
        every = self._catalog.all()
        chains = [c for image in every for v in image.variants for c in v.chains[-1:]]
        return chains + [chain for holder in self._holders for chain in holder.chains()]

    @contextmanager
    def _working_on(self) -> Iterator[Lease]:
        """Something is being made or read: nothing is collected until it is done."""
        with self._turn:
            self._working += 1
        held: set[Digest] = set()
        try:
            with self._blobs.lease() as lease:
                held = lease.held
                yield lease
        except BaseException:
            self._littered = True
            raise
        finally:
            with self._turn:
                self._working -= 1
                if self._littered and not self._working:
                    self.collect()
                else:
                    self._drop(held)

    def _drop(self, digests: set[Digest]) -> None:
        """Remove what came along and is no image's."""
        for digest in digests - self._wanted():
            self._blobs.delete(digest)

    def _now(self) -> int:
        return self._clock() // SECOND


__all__ = ["Image", "Images", "Loaded", "Progress", "Removed", "Step", "Wanted", "created_at"]
