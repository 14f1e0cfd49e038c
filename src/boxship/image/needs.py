"""What images ask of other parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest


@dataclass(frozen=True, slots=True)
class User:
    """A container that was made from an image."""

    id: str
    running: bool


class Users(Protocol):
    """Who uses images."""

    def using(self, image: Digest) -> Sequence[User]:
        """Return the containers made from `image`."""


class Publisher(Protocol):
    """Who is told what happened."""

    def publish(self, type: str, action: str, id: str, attributes: Mapping[str, str]) -> None:
        """Tell of an event; may be called from any thread."""


class Holder(Protocol):
    """Needs content and layers that are no image's, as the build cache does."""

    def chains(self) -> Collection[ChainId]:
        """Return the layers that must stay, with those below them."""

    def blobs(self) -> Collection[Digest]:
        """Return the content that must stay."""


class NoUsers:
    """Nobody uses images: where there are no containers."""

    def using(self, image: Digest) -> Sequence[User]:
        """Return nobody."""
        return ()
