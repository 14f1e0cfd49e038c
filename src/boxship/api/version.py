"""Versions of the Engine API, and the range that is served."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from boxship.errors import InvalidRequest

_FORM: Final = re.compile(r"(\d{1,4})\.(\d{1,4})", re.ASCII)


class ApiVersion(NamedTuple):
    """One version; later ones are greater."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


OLDEST: Final = ApiVersion(1, 24)
NEWEST: Final = ApiVersion(1, 56)


def parse(text: str) -> ApiVersion:
    """Read `1.41`; InvalidRequest when it is no version."""
    if not (found := _FORM.fullmatch(text)):
        raise InvalidRequest(f"invalid API version: {text!r}")
    return ApiVersion(int(found[1]), int(found[2]))


def require_served(version: ApiVersion, oldest: ApiVersion = OLDEST) -> None:
    """Refuse a client that is older or newer than the range served, in Docker's words."""
    if version < oldest:
        raise InvalidRequest(
            f"client version {version} is too old. Minimum supported API version is {oldest}, "
            "please upgrade your client to a newer version"
        )
    if version > NEWEST:
        raise InvalidRequest(
            f"client version {version} is too new. Maximum supported API version is {NEWEST}"
        )
