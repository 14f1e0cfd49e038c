"""A layer and a configuration become an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
from boxship.spec.digest import Digest
from boxship.spec.engine.image import ImageConfig as RunConfig
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, History, Manifest
from boxship.spec.platform import Platform

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
    packed, layer = take_layer(
        recipe.layer, blobs, snapshots, lease, parent.chain_id if parent else None
    )
    kind = oci.DOCKER_LAYER_GZIP if docker else oci.OCI_LAYER_GZIP
    config = blobs.put(_config(recipe, blobs, parent, layer), lease)
    manifest = Manifest(
        schema_version=2,
        media_type=oci.DOCKER_MANIFEST if docker else oci.OCI_MANIFEST,
        config=describe(blobs, config, oci.DOCKER_CONFIG if docker else oci.OCI_CONFIG),
        layers=[*(below.layers if below else ()), describe(blobs, packed, kind)],
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
) -> tuple[Digest, Layer]:
    """Unpack a layer and, at the same time, pack it into the content store."""
    pipe = Pipe()
    with ThreadPoolExecutor(1, "unpack") as worker:
        unpacking = worker.submit(snapshots.unpack, pipe, parent)
        try:
            with blobs.arriving() as ingest:
                for packed in compression.gzip(_both(compression.decompress(pieces), pipe)):
                    ingest.write(packed)
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
    return digest, snapshots.commit(unpacked, parent)


def _both(pieces: Iterable[bytes], pipe: Pipe) -> Iterator[bytes]:
    """Yield pieces and hand them over too."""
    for piece in pieces:
        pipe.put(piece)
        yield piece
