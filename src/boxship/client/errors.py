"""How a call to the engine fails."""

from __future__ import annotations

from boxship.errors import BoxshipError, InvalidRequest, Unavailable

KINDS = {304: "not modified", 400: "invalid", 404: "not found", 409: "conflict"}


class EngineError(BoxshipError):
    """The engine refused; `message` is its own sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Error response from daemon: {message}")
        self.status = status
        self.message = message


class StreamError(BoxshipError):
    """The engine began to answer and reported a failure inside the stream."""


class CannotConnect(Unavailable):
    """No engine answers at the address."""

    def __init__(self, address: str, reason: str = "") -> None:
        detail = f" ({reason})" if reason else ""
        super().__init__(
            f"Cannot connect to the Boxship daemon at {address}{detail}. "
            "Is the boxship daemon running?"
        )
        self.address = address


class NotPermitted(Unavailable):
    """The caller may not use the engine's socket."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"permission denied while trying to connect to the Boxship daemon at {address}"
        )


class BrokenAnswer(Unavailable):
    """What came back is no HTTP, or ended in the middle."""


class BadAddress(InvalidRequest):
    """The address of an engine cannot be understood."""


class OldEngine(Unavailable):
    """The engine speaks no version of the API that this client knows, or lacks what was asked."""
