"""A layer and a configuration become an image.

The layer is kept as it is, unpacked, so that its digest and its diff ID are one and nobody waits
for a compressor; whoever sends it somewhere packs it then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from boxship.content.store import Blobs, Lease
from boxship.image import changes as changing
from boxship.image.loading import describe
from boxship.image.record import Image
from boxship.lib import compression, strictjson
from boxship.lib.pipe import Abandoned, Pipe
from boxship.snapshot.driver import ChainId
from boxship.snapshot.snapshots import Layer, Snapshots
from boxship.spec.engine.image import ImageConfig as RunConfig
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, History, Manifest
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

PIECE: Final = 1 << 18  # small pieces would cost more to hand over than to take
MADE_ANEW: Final = ("container", "container_config", "docker_version", "id", "parent", "throwaway")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of; the layer may be packed in any way."""

    layer: Iterable[bytes]
    run: RunConfig
    platform: Platform
    created: str
    created_by: str = ""
    author: str = ""
    comment: str = ""


def changed(run: RunConfig, changes: Sequence[str]) -> RunConfig:
    """Return a configuration with `--change` instructions applied."""
    return changing.apply(run, changes)


def make(
    recipe: Recipe, blobs: Blobs, snapshots: Snapshots, lease: Lease, parent: Image | None
) -> Descriptor:
    """Put an image's documents and its layer in place; return what points to it."""
    below = parent.variant.manifest if parent else None
    docker = below is not None and below.config.media_type == oci.DOCKER_CONFIG
    layer = take_layer(recipe.layer, blobs, snapshots, lease, parent.chain_id if parent else None)
    kind = oci.DOCKER_LAYER if docker else oci.OCI_LAYER
    config = blobs.put(_config(recipe, blobs, parent, layer), lease)
    manifest = Manifest(
        schema_version=2,
        media_type=oci.DOCKER_MANIFEST if docker else oci.OCI_MANIFEST,
        config=describe(blobs, config, oci.DOCKER_CONFIG if docker else oci.OCI_CONFIG),
        layers=[*(below.layers if below else ()), describe(blobs, layer.diff_id, kind)],
    )
    target = blobs.put(strictjson.encode(manifest), lease)
    return describe(blobs, target, manifest.media_type)


def _config(recipe: Recipe, blobs: Blobs, parent: Image | None, layer: Layer) -> bytes:
    """Write the configuration: the parent's document, with what is new put in."""
    document: dict[str, Any] = {}
    if parent is not None and parent.variant.manifest is not None:
        document = msgspec.json.decode(blobs.read(parent.variant.manifest.config.digest))
    for key in MADE_ANEW:
        document.pop(key, None)
    platform = recipe.platform
    document |= {
        "created": recipe.created,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": recipe.run,
    }
    if platform.variant:
        document["variant"] = platform.variant
    for key, value in (("author", recipe.author), ("comment", recipe.comment)):
        if value or key in document:
            document[key] = value
    diff_ids = [*(parent.variant.diff_ids if parent else ()), layer.diff_id]
    document["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    step = History(
        created=recipe.created,
        created_by=recipe.created_by,
        author=recipe.author,
        comment=recipe.comment,
    )
    document["history"] = [*(document.get("history") or ()), step]
    return strictjson.encode(document)


def take_layer(
    pieces: Iterable[bytes],
    blobs: Blobs,
    snapshots: Snapshots,
    lease: Lease,
    parent: ChainId | None,
) -> Layer:
    """Unpack a layer and, at the same time, put it into the content store."""
    pipe = Pipe()
    with ThreadPoolExecutor(1, "unpack") as worker:
        unpacking = worker.submit(snapshots.unpack, pipe, parent, hashed=False)
        try:
            with blobs.arriving() as ingest:
                for piece in compression.even(compression.decompress(pieces), PIECE):
                    pipe.put(piece)
                    ingest.write(piece)
                pipe.end()
                unpacked = unpacking.result()
                try:
                    digest = blobs.commit(ingest, lease)
                except BaseException:
                    snapshots.discard(unpacked)
                    raise
        except Abandoned:
            unpacking.result()  # raises what the unpacking met
            raise
        except BaseException as error:
            pipe.end(error)
            with suppress(BaseException):
                snapshots.discard(unpacking.result())
            raise
    return snapshots.commit(unpacked, parent, digest)


def new_names(name: str) -> Sequence[str]:
    """Return the canonical name for a new image, if it is to have one."""
    return [str(Reference.parse(name).for_image())] if name else []
