"""The routes that ask registries and change nothing."""

from __future__ import annotations

from http import HTTPStatus

from boxship.api import credentials
from boxship.api.routing import Call, Reply, route
from boxship.distribution.auth import AuthDocument
from boxship.distribution.client import Registry
from boxship.distribution.pool import Pool
from boxship.errors import InvalidRequest
from boxship.image import looking
from boxship.spec.engine.image import AuthResponse
from boxship.spec.reference import HUB, Reference


@route("GET", "/distribution/{name...}/json")
async def inspect(call: Call, pool: Pool) -> Reply:
    """Tell what a name points to in its registry, and for which platforms."""
    reference = Reference.parse(call.path["name"])
    return Reply(document=await looking.inspect(pool, reference, credentials.of(call)))


@route("POST", "/auth")
async def log_in(call: Call, pool: Pool) -> Reply:
    """Try credentials at their registry."""
    asked = call.body(AuthDocument).value(HUB)
    if asked.anonymous:
        raise InvalidRequest("no username, and no token, to log in with")
    token = await Registry(asked.server, asked, pool).login()
    document = AuthResponse(status="Login Succeeded", identity_token=token)
    return Reply(HTTPStatus.OK, document)
