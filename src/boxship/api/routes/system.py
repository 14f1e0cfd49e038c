"""What clients ask of the engine as a whole: ping, version, info; and what it does not have."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from boxship.api.routing import Call, Reply, route
from boxship.api.version import NEWEST
from boxship.api.versions import system as _older  # noqa: F401 - registers its steps
from boxship.system.info import System

PING: Final = {
    "Builder-Version": "2",  # clients may build over a session
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Swarm": "inactive",
}
PONG: Final = Reply(HTTPStatus.OK, "OK", PING)


@route("GET", "/_ping")
@route("HEAD", "/_ping")
def ping(call: Call) -> Reply:
    return PONG


@route("GET", "/version")
def version(call: Call, system: System) -> Reply:
    return Reply(HTTPStatus.OK, system.version(str(NEWEST)))


@route("GET", "/info")
def info(call: Call, system: System) -> Reply:
    return Reply(HTTPStatus.OK, system.info())
