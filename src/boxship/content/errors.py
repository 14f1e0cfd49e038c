"""What can go wrong with content."""

from __future__ import annotations

from boxship.errors import InvalidRequest, NotFound
from boxship.spec.digest import Digest


class NoSuchBlob(NotFound):
    """The store does not hold this content."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(f"content digest {digest}: not found")
        self.digest = digest


class WrongContent(InvalidRequest):
    """The bytes are not those that were announced."""
