"""What a volume driver does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

Options = Mapping[str, str]


class Driver(Protocol):
    """Keeps volumes of one kind. Names are checked before they come here."""

    name: str
    scope: str  # local or global

    def check(self, volume: str, options: Options) -> None:
        """Refuse options that cannot be meant."""

    def create(self, volume: str, options: Options, *, durable: bool) -> str:
        """Make the storage; return where it will be seen. What is there already stays."""

    def mount(self, volume: str, options: Options) -> None:
        """Make the storage visible at its mountpoint; fine when it is."""

    def unmount(self, volume: str) -> None:
        """Undo `mount`; fine when it is not mounted."""

    def remove(self, volume: str) -> Callable[[], None]:
        """Take the storage away, fine when there is none; what is returned does the slow part.

        The name is free at once; a removal not finished is finished by `found`.
        """

    def size(self, volume: str) -> int:
        """Return the bytes in use, or -1 where that is not known."""

    def found(self) -> Iterable[str]:
        """Return the names of the storage there is; finishes removals that were cut short."""

    def mountpoint(self, volume: str) -> str:
        """Return where a volume is seen."""
