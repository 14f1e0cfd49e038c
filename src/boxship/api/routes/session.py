"""Connections that BuildKit's clients turn over to gRPC."""

from __future__ import annotations

from boxship.api.buildkit import Doors
from boxship.api.routing import Call, Hijacked, route
from boxship.errors import InvalidRequest


@route("POST", "/session", streams=True, finishes=False)
async def session(call: Call, doors: Doors) -> Hijacked:
    """Keep the client of builds that will follow; from here on it is the one that is called."""
    _require_upgrade(call)
    doors.check_session(call.headers)
    await doors.open()
    upgraded = await call.switch("h2c")
    await doors.serve_session(upgraded, call.headers)
    return upgraded


@route("POST", "/grpc", streams=True, finishes=False)
async def grpc(call: Call, doors: Doors) -> Hijacked:
    """Answer calls."""
    _require_upgrade(call)
    await doors.open()
    upgraded = await call.switch("h2c")
    await doors.serve_grpc(upgraded)
    return upgraded


def _require_upgrade(call: Call) -> None:
    if not call.wants_upgrade:
        raise InvalidRequest("no upgrade proto in request")
