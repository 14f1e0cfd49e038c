"""Volume: the noun as it is kept, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ANONYMOUS_LABEL = "com.docker.volume.anonymous"


@dataclass(frozen=True, slots=True)
class Volume:
    """Storage with a name of its own."""

    name: str
    driver: str
    mountpoint: str
    created_at: str  # RFC 3339
    labels: Mapping[str, str] | None = None
    options: Mapping[str, str] | None = None
    scope: str = "local"
    anonymous: bool = False
