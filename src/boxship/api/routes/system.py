"""What clients ask of the engine as a whole: ping, version, info; and what it does not have."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from boxship.api.routing import Call, Reply, route
from boxship.api.version import NEWEST
from boxship.api.versions import system as _older  # noqa: F401 - registers its steps
from boxship.distribution.auth import ANONYMOUS
from boxship.errors import BoxshipError
from boxship.image.pull import Pulls
from boxship.spec.reference import Reference
from boxship.system.check import Check
from boxship.system.info import System
from boxship.system.verify import Verification

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


@route("GET", "/system/check")
async def check(call: Call, ledger: Check, verification: Verification) -> Reply:
    """Ours, not Docker's: what this engine left on the host, and with `verify` what is damaged."""
    found: dict[str, list[str]] = {"Leftovers": await asyncio.to_thread(ledger.run)}
    if call.query.flag("verify"):
        damaged = await asyncio.to_thread(verification.find)
        found["Damaged"] = [each.sentence for each in damaged]
    return Reply(HTTPStatus.OK, found)


@route("POST", "/system/repair")
async def repair(call: Call, verification: Verification, pulls: Pulls) -> Reply:
    """Ours: mend what is damaged, from content that is here or from the registries."""
    damaged = await asyncio.to_thread(verification.find)
    mended = await asyncio.to_thread(verification.repair, damaged)
    for name in mended.to_fetch:
        try:
            await pulls.pull(Reference.parse(name), ANONYMOUS, lambda told: None)
            mended.done.append(f"{name} has been fetched again")
        except BoxshipError as error:
            mended.left.append(f"{name} cannot be fetched again: {error}")
    return Reply(HTTPStatus.OK, {"Mended": mended.done, "Left": mended.left})
