"""What goes wrong with the clients of builds."""

from __future__ import annotations

from boxship.errors import InvalidRequest, NotSupported, Unavailable


class BadSession(InvalidRequest):
    """A client does not say rightly who it is."""


class NoSession(Unavailable):
    """The client that was to be asked is not, or no longer, connected."""

    def __init__(self, id: str) -> None:
        super().__init__(f"no active session for {id}: the client of the build is not connected")


class NotOffered(NotSupported):
    """The client does not serve what would be needed."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not offered by the client of the build")
