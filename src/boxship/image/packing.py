"""An image made anew with its plain layers packed, for a registry behind a slow line.

The layers' contents, and so their diff IDs and the configuration, stay what they are; the manifest
names other blobs, and so the image has another ID.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import msgspec

from boxship.content.store import Blobs, Lease
from boxship.image.loading import describe
from boxship.image.record import Image
from boxship.lib import compression, strictjson
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor

WORKERS: Final = 2
ZSTD_LEVEL: Final = 3
GZIP: Final = {oci.OCI_LAYER: oci.OCI_LAYER_GZIP, oci.DOCKER_LAYER: oci.DOCKER_LAYER_GZIP}
# Docker's own documents have no word for a layer packed with zstd
ZSTD: Final = {**GZIP, oci.OCI_LAYER: oci.OCI_LAYER_ZSTD}
KINDS: Final[Mapping[str, Mapping[str, str]]] = {"gzip": GZIP, "zstd": ZSTD}


def packed(image: Image, blobs: Blobs, lease: Lease, how: str) -> Descriptor | None:
    """Store the image with its plain layers packed; None where there is none, or an index."""
    manifest, kinds = image.variant.manifest, KINDS[how]
    if image.id != image.variant.descriptor.digest or manifest is None:
        return None
    plain = [one for one in manifest.layers if one.media_type in kinds]
    if not plain:
        return None

    def pack(one: Descriptor) -> Descriptor:
        return layer(one, blobs, lease, how)

    unique = {one.digest: one for one in plain}
    with ThreadPoolExecutor(WORKERS, "pack") as workers:
        made = dict(zip(unique, workers.map(pack, unique.values()), strict=True))
    document: dict[str, Any] = msgspec.json.decode(blobs.read(image.id))
    for said in document["layers"]:
        if said["mediaType"] in kinds:
            now = made[said["digest"]]
            said |= {"mediaType": now.media_type, "digest": now.digest, "size": now.size}
    target = blobs.put(strictjson.encode(document), lease)
    return describe(blobs, target, image.descriptor.media_type)


def layer(about: Descriptor, blobs: Blobs, lease: Lease, how: str) -> Descriptor:
    """Store a plain layer packed; one that is packed, or is to stay plain, is left as it is."""
    kind = KINDS.get(how, {}).get(about.media_type)
    if kind is None:
        return about
    packer: Callable[[Iterable[bytes]], Iterator[bytes]] = (
        _zstd if kind == oci.OCI_LAYER_ZSTD else compression.gzip
    )
    return describe(blobs, blobs.ingest(packer(blobs.chunks(about.digest)), lease), kind)


def _zstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    packer = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()
    for piece in pieces:
        if part := packer.compress(piece):
            yield part
    yield packer.flush()
