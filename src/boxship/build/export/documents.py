"""An image's documents: configuration with its history, manifest, index. Pure.

The same input gives the same bytes: the times are those of the layers, or the one asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from boxship.build.export.layers import DOCKER_KINDS, Packed
from boxship.lib import moments, strictjson
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import (
    Descriptor,
    History,
    ImageConfig,
    Index,
    Manifest,
    PlatformDocument,
    RootFS,
)
from boxship.spec.platform import Platform

SECOND: Final = 1_000_000_000
MADE_UP: Final = "buildkit.exporter.image.v0"


def config(
    asked: ImageConfig, layers: Sequence[Packed], epoch: int | None, now: int
) -> ImageConfig:
    """Return the configuration with its layers, history and times."""
    lines = _timed(_fitting(asked.history or [], layers), layers, epoch)
    created = lines[-1].created if lines and lines[-1].created else None
    if epoch is not None:
        created = moments.show(epoch * SECOND)
    return replace(
        asked,
        created=created or moments.show(now),
        rootfs=RootFS(diff_ids=[layer.diff_id for layer in layers]),
        history=lines,
    )


def _fitting(lines: Sequence[History], layers: Sequence[Packed]) -> list[History]:
    """Return one line for each layer, and those without; too many lose theirs."""
    found: list[History] = []
    left = len(layers)
    for line in lines:
        if line.empty_layer:
            found.append(line)
        elif left:
            left -= 1
            found.append(line)
    for layer in layers[len(layers) - left :] if left else ():
        found.append(History(created_by=layer.description, comment=MADE_UP))
    return found


def _timed(lines: Sequence[History], layers: Sequence[Packed], epoch: int | None) -> list[History]:
    """Give each line the time of its layer, or of the new layer that is next to it."""
    found: list[History] = []
    at = 0
    for line in lines:
        made = 0
        if not line.empty_layer:
            made, at = layers[at].created, at + 1
        if not line.created and epoch is not None:
            line = replace(line, created=moments.show(epoch * SECOND))
        elif not line.created and made:
            line = replace(line, created=moments.show(made))
        found.append(line)
    last: str | None = None
    seen_new = False
    for line in found:
        if line.created:
            last = line.created
            if seen_new:
                break
        else:
            seen_new = True
    filled: list[History] = []
    seen_new = False
    for line in found:
        if line.created:
            if seen_new:
                last = line.created
        else:
            seen_new = True
            line = replace(line, created=last)
        filled.append(line)
    return filled


def manifest(
    config: Descriptor,
    layers: Sequence[Packed],
    *,
    docker: bool = False,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Return the manifest of one platform's image."""
    return Manifest(
        schema_version=2,
        media_type=oci.DOCKER_MANIFEST if docker else oci.OCI_MANIFEST,
        config=config,
        layers=[_layer(layer.descriptor, docker=docker) for layer in layers],
        annotations=dict(annotations) if annotations else None,
    )


def _layer(descriptor: Descriptor, *, docker: bool) -> Descriptor:
    kind = descriptor.media_type
    return replace(descriptor, media_type=DOCKER_KINDS.get(kind, kind)) if docker else descriptor


def index(
    manifests: Sequence[Descriptor],
    *,
    docker: bool = False,
    annotations: Mapping[str, str] | None = None,
) -> Index:
    """Return the index of several platforms' images, and of what is attested of them."""
    return Index(
        schema_version=2,
        media_type=oci.DOCKER_INDEX if docker else oci.OCI_INDEX,
        manifests=list(manifests),
        annotations=dict(annotations) if annotations else None,
    )


def platform_document(platform: Platform) -> PlatformDocument:
    """Return a platform as descriptors have it."""
    return PlatformDocument(
        architecture=platform.architecture,
        os=platform.os,
        os_version=platform.os_version,
        variant=platform.variant,
    )


def encode(document: ImageConfig | Manifest | Index) -> bytes:
    """Return a document's bytes."""
    return strictjson.encode(document)
