"""What an exporter's attributes have written on an image's documents.

    annotation[PLATFORM].KEY                       on the manifest
    annotation-manifest[PLATFORM].KEY              the same
    annotation-manifest-descriptor[PLATFORM].KEY   on what points to the manifest, in an index
    annotation-index.KEY                           on the index
    annotation-index-descriptor.KEY                on what points to the index

The platform may be left out, and then it is for all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from boxship.errors import InvalidRequest
from boxship.spec.platform import Platform

MANIFEST: Final = "manifest"
INDEX: Final = "index"
MANIFEST_DESCRIPTOR: Final = "manifest-descriptor"
INDEX_DESCRIPTOR: Final = "index-descriptor"
KEY: Final = re.compile(
    r"annotation(?:-(manifest|index|manifest-descriptor|index-descriptor))?(?:\[([^\]]*)\])?\.(.+)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Annotations:
    """Pairs of each level, with the platform that they are for; None for all."""

    pairs: tuple[tuple[str, Platform | None, str, str], ...] = ()

    @property
    def of_index(self) -> bool:
        """Whether something is to be written that needs an index."""
        return any(level != MANIFEST for level, *_ in self.pairs)

    def of(self, level: str, platform: Platform | None = None) -> dict[str, str]:
        """Return what is written at a level, for one platform."""
        return {
            key: value
            for one, where, key, value in self.pairs
            if one == level and (where is None or where == platform)
        }


def read(attrs: Mapping[str, str], host: Platform) -> Annotations:
    """Read an exporter's attributes; those of other meaning are passed over."""
    found: list[tuple[str, Platform | None, str, str]] = []
    for name, value in attrs.items():
        if not name.startswith("annotation"):
            continue
        match = KEY.fullmatch(name)
        if match is None:
            raise InvalidRequest(f"unrecognized annotation {name[:200]!r}")
        level, where, key = match.groups()
        level = level or MANIFEST
        if where is not None and level in (INDEX, INDEX_DESCRIPTOR):
            raise InvalidRequest(f"an index is of no platform: {name[:200]!r}")
        platform = Platform.parse(where, host) if where else None
        found.append((level, platform, key, value))
    return Annotations(tuple(found))
