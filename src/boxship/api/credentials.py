"""What a client sends along for registries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from boxship.api.routing import Call
from boxship.distribution import auth
from boxship.distribution.auth import Credentials

ONE: Final = "x-registry-auth"
MANY: Final = "x-registry-config"


def of(call: Call) -> Credentials:
    """Return the credentials for the registry that a request is about."""
    return auth.from_header(call.headers.get(ONE, ""))


def by_host(call: Call) -> Mapping[str, Credentials]:
    """Return the credentials for all registries that a request may meet."""
    return auth.from_config_header(call.headers.get(MANY, ""))
