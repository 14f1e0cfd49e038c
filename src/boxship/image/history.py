"""How an image came to be, as its configuration tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from boxship.image.record import Image
from boxship.lib import moments
from boxship.snapshot.driver import ChainId
from boxship.snapshot.trees import Usage
from boxship.spec.oci.image import History
from boxship.spec.reference import Reference

SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an image's history, newest first."""

    id: str
    created: int
    created_by: str
    tags: tuple[str, ...]
    size: int
    comment: str


def steps(image: Image, layers: Mapping[ChainId, Usage]) -> Sequence[Step]:
    """Return the steps, the last one first; a size is what its layer takes unpacked."""
    chains = iter(image.variant.chains)
    found: list[Step] = []
    entries = image.config.history or []
    if sum(not entry.empty_layer for entry in entries) != len(image.variant.chains):
        entries = [e for e in entries if e.empty_layer] + [History() for _ in image.variant.chains]
    for entry in entries:
        size = 0
        if not entry.empty_layer:
            chain = next(chains)
            size = layers[chain].size if chain in layers else 0
        at = seconds(entry.created or "")
        found.append(Step("<missing>", at, entry.created_by, (), size, entry.comment))
    found.reverse()
    if found:
        names = tuple(Reference.parse(name).familiar for name in image.names)
        found[0] = replace(found[0], id=image.id, tags=names)
    return found


def created_at(image: Image) -> int:
    """Return when an image was made, in seconds; 0 where its document does not say."""
    return seconds(image.created)


def seconds(text: str) -> int:
    """Read a document's time."""
    try:
        return moments.parse(text) // SECOND
    except ValueError:
        return 0
