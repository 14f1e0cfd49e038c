"""Whether content and layers still are what their digests say, and how they become so again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from boxship.content.errors import NoSuchBlob, WrongContent
from boxship.content.store import Blobs
from boxship.errors import BoxshipError
from boxship.image.images import Images
from boxship.image.record import Image
from boxship.snapshot import compare
from boxship.snapshot.driver import ChainId
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.digest import Digest

SHOWN: Final = 5  # damaged files of one layer that are named


@dataclass(frozen=True, slots=True)
class Damage:
    """A blob or an unpacked layer that is not what its name says, and the images that need it."""

    sentence: str
    images: tuple[Image, ...]
    blob: Digest | None = None
    layer: ChainId | None = None


@dataclass(slots=True)
class Mended:
    """What a repair came to."""

    done: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    to_fetch: list[str] = field(default_factory=list)  # names whose content is to be pulled again


class Verification:
    """Reads all that images are made of; takes as long as that takes."""

    def __init__(self, images: Images, blobs: Blobs, snapshots: Snapshots) -> None:
        self._images = images
        self._blobs = blobs
        self._snapshots = snapshots

    def find(self) -> list[Damage]:
        """Return what is damaged: blobs first."""
        damaged = list(self._blobs_damaged())
        return damaged + list(self._layers_damaged({each.blob for each in damaged}))

    def _blobs_damaged(self) -> Iterator[Damage]:
        images = self._images.list()
        every = set(self._blobs.digests())
        bases = self._blobs.bases(every)  # these go after what is in pieces of them
        for digest in sorted(every, key=lambda one: (one in bases, one)):
            if not self._is_whole(digest):
                needing = tuple(image for image in images if digest in image.content)
                yield Damage(f"content {digest} is damaged{_of(needing)}", needing, blob=digest)

    def _is_whole(self, digest: Digest) -> bool:
        hashed = hashlib.sha256()
        try:
            for piece in self._blobs.chunks(digest):
                hashed.update(piece)
        except (NoSuchBlob, WrongContent):
            return False
        return hashed.hexdigest() == digest.hex

    def _layers_damaged(self, without: set[Digest | None]) -> Iterator[Damage]:
        images = self._images.list()
        seen: set[ChainId] = set()
        for variant in (v for image in images for v in image.variants if v.is_image):
            layers = variant.manifest.layers if variant.manifest else []
            for chain, layer in zip(variant.chains, layers, strict=False):
                if chain in seen or not self._snapshots.has_layer(chain):
                    continue
                seen.add(chain)
                if layer.digest in without or not self._blobs.has(layer.digest):
                    continue
                if paths := self._differences(chain, layer.digest):
                    needing = tuple(i for i in images if any(chain in v.chains for v in i.variants))
                    shown = ", ".join(paths[:SHOWN])
                    sentence = f"layer {chain} is damaged{_of(needing)}: {shown}"
                    yield Damage(sentence, needing, layer=chain)

    def _differences(self, chain: ChainId, layer: Digest) -> list[str]:
        root = self._snapshots.view(chain)
        try:
            found = compare.differences(root, self._blobs.chunks(layer))
            return list(islice(found, SHOWN))
        finally:
            os.close(root)

    def repair(self, damaged: Sequence[Damage]) -> Mended:
        """Unpack damaged layers again; drop damaged content, which then has to be fetched."""
        mended = Mended()
        for each in damaged:
            try:
                if each.layer is not None:
                    self._images.unpack_again(each.layer)
                    mended.done.append(f"layer {each.layer} has been unpacked again")
                elif each.blob is not None:
                    self._images.forget_content(each.blob)
                    names = sorted({name for image in each.images for name in image.names})
                    mended.to_fetch += [name for name in names if name not in mended.to_fetch]
                    if not names:
                        mended.done.append(f"content {each.blob} has been removed")
            except (BoxshipError, OSError) as error:
                mended.left.append(f"{each.sentence}: {error}")
        return mended


def _of(images: Sequence[Image]) -> str:
    names = [name for image in images for name in (image.names or (image.id,))]
    return f" ({', '.join(names[:SHOWN])})" if names else ""
