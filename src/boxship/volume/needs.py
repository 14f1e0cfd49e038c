"""What volumes ask of other parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Publisher(Protocol):
    """Makes events known."""

    def publish(
        self, type: str, action: str, id: str, attributes: Mapping[str, str], scope: str = "local"
    ) -> None:
        """Tell whoever listens; may be called from any thread."""


class Users(Protocol):
    """Knows which containers refer to a volume, running or not."""

    def using_volume(self, name: str) -> Sequence[str]:
        """Return the full IDs of the containers that have the volume among their mounts."""
