"""The other end of a connection has left."""

from __future__ import annotations


class ClientGone(ConnectionError):
    """The other end has closed; nobody waits for the answer any more."""

    def __init__(self, what: str = "the client has closed the connection") -> None:
        super().__init__(what)
