"""What can go wrong with a registry; messages begin with what the registry itself said."""

from __future__ import annotations

from collections.abc import Sequence

from boxship.errors import (
    BoxshipError,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotSupported,
    Unauthorized,
    Unavailable,
)


class RegistryError(BoxshipError):
    """A registry did not do what was asked; `codes` are the words of its error document."""

    def __init__(self, message: str, *, status: int = 0, codes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.codes = tuple(codes)


class NotThere(RegistryError, NotFound):
    """The registry has no such repository, manifest or blob, or does not show it."""


class LoginNeeded(RegistryError, Unauthorized):
    """The registry wants credentials, or others than those it got."""


class Denied(RegistryError, Forbidden):
    """The registry knows who asks and refuses."""


class Refused(RegistryError, InvalidRequest):
    """The registry says that the request is wrong."""


class UnsupportedThere(RegistryError, NotSupported):
    """The registry does not do this at all."""


class RegistryUnavailable(RegistryError, Unavailable):
    """The registry cannot be reached, or is not able to answer now."""


class BrokenOff(RegistryUnavailable):
    """An answer ended before its end."""


class Unreachable(RegistryUnavailable):
    """No connection was made: nobody is there, or not in the way that was tried."""


class Untrusted(RegistryUnavailable):
    """The registry speaks TLS, and one of the two sides does not believe the other."""


class TooManyRequests(RegistryUnavailable):
    """The registry wants to be asked less often."""


class WrongAnswer(RegistryError):
    """The registry answered something that the protocol does not allow."""


class WrongBytes(WrongAnswer):
    """What the registry sent is not the content that was asked for."""
