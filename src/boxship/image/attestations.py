"""What is attested of an image: in-toto statements, in manifests that its index lists beside it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from boxship.content.errors import NoSuchBlob
from boxship.content.store import Blobs
from boxship.image.record import Image
from boxship.lib import strictjson
from boxship.spec.oci.image import Descriptor

PREDICATE: Final = "in-toto.io/predicate-type"
LARGEST: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: what points to it, what it is about, and itself where it was asked for."""

    descriptor: Descriptor
    predicate: str
    document: dict[str, Any] | None = None


def statements(
    blobs: Blobs, image: Image, predicates: Collection[str] = (), *, whole: bool = False
) -> list[Statement]:
    """Return the statements about the variant that is meant, as far as they are here."""
    about = image.variant.descriptor.digest
    found: list[Statement] = []
    for variant in image.variants:
        if variant.attestation_of != about or variant.manifest is None:
            continue
        for layer in variant.manifest.layers:
            predicate = (layer.annotations or {}).get(PREDICATE, "")
            if predicates and predicate not in predicates:
                continue
            try:
                document = _document(blobs, layer) if whole else None
            except NoSuchBlob:
                continue
            found.append(Statement(layer, predicate, document))
    return found


def _document(blobs: Blobs, layer: Descriptor) -> dict[str, Any]:
    data = blobs.read(layer.digest, LARGEST)
    strictjson.check(data, "attestation")
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise strictjson.InvalidDocument(f"attestation: {error}") from error
