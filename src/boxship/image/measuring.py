"""How much images take, packed and unpacked, alone and together."""

from __future__ import annotations

from boxship.content.errors import NoSuchBlob
from boxship.content.store import Blobs
from boxship.image.catalog import Catalog
from boxship.image.record import Image, Variant
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.digest import Digest


class Measured:
    """Images that can be measured."""

    _blobs: Blobs
    _snapshots: Snapshots
    _catalog: Catalog

    def content_size(self, image: Image) -> int:
        """Return what an image's content takes, as far as it is here."""
        return sum(self._size(digest) for digest in image.content)

    def unpacked_size(self, image: Image) -> int:
        """Return what an image's layers take unpacked, as far as they are."""
        layers = self._snapshots.layers()
        chains = {chain for variant in image.variants for chain in variant.chains}
        return sum(layers[chain].size for chain in chains if chain in layers)

    def unpacked(self, variant: Variant) -> int:
        """Return what one variant's layers take unpacked, as far as they are."""
        layers = self._snapshots.layers()
        return sum(layers[chain].size for chain in variant.chains if chain in layers)

    @property
    def driver(self) -> str:
        """What carries the filesystems."""
        return self._snapshots.driver

    def size(self, image: Image) -> int:
        """Return what an image takes in all."""
        return self.content_size(image) + self.unpacked_size(image)

    def shared_size(self, image: Image) -> int:
        """Return what of an image's size other images need too."""
        others = [other for other in self._catalog.all() if other.id != image.id]
        theirs = {digest for other in others for digest in other.content}
        layers = self._snapshots.layers()
        chains = {c for other in others for v in other.variants for c in v.chains}
        own = {c for v in image.variants for c in v.chains}
        return sum(map(self._size, image.content & theirs)) + sum(
            layers[chain].size for chain in own & chains if chain in layers
        )

    def total_size(self) -> int:
        """Return what all images take together, each thing counted once."""
        every = {digest for image in self._catalog.all() for digest in image.content}
        return sum(map(self._size, every)) + sum(u.size for u in self._snapshots.layers().values())

    def has(self, digest: Digest) -> bool:
        """Whether a piece of content is here."""
        return self._blobs.has(digest)

    def _size(self, digest: Digest) -> int:
        try:
            return self._blobs.size(digest)
        except NoSuchBlob:
            return 0
