"""The kinds of failure.

Each failure that a caller could act on is of one kind. What HTTP makes of a kind is decided in
`api.status`, what an exit code makes of it in `cli`. A package's own failures are subclasses in
its `errors.py`; the message is a sentence for the person who asked.
"""

from __future__ import annotations


class BoxshipError(Exception):
    """Something a user can be told; `str()` of it is the message."""


class NotModified(BoxshipError):
    """What was asked for is so already."""


class InvalidRequest(BoxshipError):
    """The request itself is wrong; the same request can never succeed."""


class Unauthorized(BoxshipError):
    """Nobody has said who asks, or the credentials are wrong."""


class Forbidden(BoxshipError):
    """Who asks may not do this."""


class NotFound(BoxshipError):
    """The thing named does not exist."""


class Conflict(BoxshipError):
    """The state of the thing named does not allow it now."""


class NotSupported(BoxshipError):
    """This host or this engine cannot do it."""


class Unavailable(BoxshipError):
    """Something that is needed does not answer now."""
