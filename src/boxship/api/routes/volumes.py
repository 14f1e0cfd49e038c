"""The volume routes."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from boxship.api.render import volumes as render
from boxship.api.routing import Call, Reply, route
from boxship.api.version import ApiVersion
from boxship.errors import Unavailable
from boxship.network.creation import NOT_A_MANAGER
from boxship.spec.engine.volume import VolumeCreateRequest
from boxship.volume.volumes import Volumes

LIST_FILTERS: Final = frozenset({"dangling", "driver", "label", "name"})
PRUNE_FILTERS: Final = frozenset({"all", "label", "label!"})
NAMED_SPARED_SINCE: Final = ApiVersion(1, 42)


@route("GET", "/volumes")
def list_volumes(call: Call, volumes: Volumes) -> Reply:
    filters = call.query.filters()
    filters.only(LIST_FILTERS)
    shown = [render.volume(one) for one in volumes.list(dict(filters.items()))]
    return Reply(document={"Volumes": shown, "Warnings": None})


@route("POST", "/volumes/create")
async def create(call: Call, volumes: Volumes) -> Reply:
    asked = call.body(VolumeCreateRequest)
    made = await asyncio.to_thread(
        volumes.create, asked.name, asked.driver or "", asked.driver_opts, asked.labels
    )
    return Reply(HTTPStatus.CREATED, render.volume(made))


@route("POST", "/volumes/prune")
async def prune(call: Call, volumes: Volumes) -> Reply:
    filters = call.query.filters()
    filters.only(PRUNE_FILTERS)
    gone, freed = await asyncio.to_thread(
        volumes.prune, dict(filters.items()), named_too=call.version < NAMED_SPARED_SINCE
    )
    return Reply(document={"VolumesDeleted": gone or None, "SpaceReclaimed": freed})


@route("GET", "/volumes/{name...}")
def inspect(call: Call, volumes: Volumes) -> Reply:
    return Reply(document=render.volume(volumes.get(call.path["name"])))


@route("PUT", "/volumes/{name...}", since="1.42")
async def update(call: Call, volumes: Volumes) -> Reply:
    raise Unavailable(NOT_A_MANAGER)  # only volumes of a cluster can be changed


@route("DELETE", "/volumes/{name...}")
async def remove(call: Call, volumes: Volumes) -> Reply:
    force = call.query.flag("force")
    await asyncio.to_thread(volumes.remove, call.path["name"], force=force)
    return Reply(HTTPStatus.NO_CONTENT)
