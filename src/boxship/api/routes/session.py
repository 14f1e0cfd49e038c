"""The builder's doors. They open with the builder; until then each says so."""

from __future__ import annotations

from typing import Final

from boxship.api.routing import Call, Reply, route
from boxship.errors import NotSupported

NO_BUILDER: Final = "this engine has no builder yet"


@route("POST", "/build/prune")
@route("POST", "/session", streams=True)
@route("POST", "/grpc", streams=True)
def refuse(call: Call) -> Reply:
    raise NotSupported(NO_BUILDER)
