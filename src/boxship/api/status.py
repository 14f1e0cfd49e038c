"""What HTTP makes of each kind of failure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from boxship import errors

STATUS: Final[Mapping[type, HTTPStatus]] = {
    errors.NotModified: HTTPStatus.NOT_MODIFIED,
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.NotSupported: HTTPStatus.NOT_IMPLEMENTED,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def sentence_of(error: BaseException) -> str:
    """Return what to tell of a failure; an operating system's in Docker's words."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return place + error.strerror[:1].lower() + error.strerror[1:]
    return str(error) or type(error).__name__


def status_of(error: BaseException) -> HTTPStatus:
    """Return the status of the nearest kind; a failure of no kind is ours, a 500."""
    kinds = (STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    return next(kinds, HTTPStatus.INTERNAL_SERVER_ERROR)
