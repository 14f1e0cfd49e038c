"""What the answers about the whole engine ask of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class Containers(Protocol):
    """Counts containers."""

    def states(self) -> Sequence[str]:
        """Return the state of each container, by the API's words."""


class Images(Protocol):
    """Counts images."""

    @property
    def driver(self) -> str: ...

    def count(self) -> int: ...


class Drivers(Protocol):
    """Has drivers, and something to warn of."""

    @property
    def driver_names(self) -> Sequence[str]: ...


class Leftovers(Protocol):
    """A part that can say what on this host belongs to nothing that it knows."""

    def leftovers(self) -> Iterator[str]:
        """Yield one sentence for each mount, link, file or process without a record."""
