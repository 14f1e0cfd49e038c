"""Ours, not Docker's: what is left over or damaged, and mending it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from boxship.api.routing import Call, Reply, route
from boxship.distribution.auth import ANONYMOUS
from boxship.errors import BoxshipError
from boxship.image.pull import Pulls
from boxship.spec.reference import Reference
from boxship.system.check import Check
from boxship.system.verify import Verification


@route("GET", "/system/check")
async def check(call: Call, ledger: Check, verification: Verification) -> Reply:
    """Tell what this engine left on the host, and with `verify` what is damaged."""
    found: dict[str, list[str]] = {"Leftovers": await asyncio.to_thread(ledger.run)}
    if call.query.flag("verify"):
        damaged = await asyncio.to_thread(verification.find)
        found["Damaged"] = [each.sentence for each in damaged]
    return Reply(HTTPStatus.OK, found)


@route("POST", "/system/repair")
async def repair(call: Call, verification: Verification, pulls: Pulls) -> Reply:
    """Mend what is damaged, from content that is here or from the registries."""
    damaged = await asyncio.to_thread(verification.find)
    mended = await asyncio.to_thread(verification.repair, damaged)
    for name in mended.to_fetch:
        try:
            await pulls.pull(Reference.parse(name), ANONYMOUS, lambda told: None)
            mended.done.append(f"{name} has been fetched again")
        except BoxshipError as error:
            mended.left.append(f"{name} cannot be fetched again: {error}")
    return Reply(HTTPStatus.OK, {"Mended": mended.done, "Left": mended.left})
