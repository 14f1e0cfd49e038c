"""What containers use, and which processes they have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Final

from boxship.api import versions
from boxship.api.routing import Call, Reply, Stream, route
from boxship.api.version import ApiVersion
from boxship.container import top
from boxship.container.containers import Containers, running
from boxship.container.lifecycle import State
from boxship.container.sampling import Sampler
from boxship.errors import Conflict, InvalidRequest
from boxship.lib import strictjson
from boxship.spec.engine.container import ContainerStatsResponse, ContainerTopResponse

JSON: Final = "application/json"
DEFAULT_ARGUMENTS: Final = "-ef"
ONE_SHOT_SINCE: Final = ApiVersion(1, 41)


@route("GET", "/containers/{id}/stats")
async def stats(call: Call, sampler: Sampler, containers: Containers) -> Reply | Stream:
    query = call.query
    at_once = query.flag("one-shot") and call.version >= ONE_SHOT_SINCE
    cell = containers.find(call.path["id"])
    if query.flag("stream", default=True):
        if at_once:
            raise InvalidRequest("cannot have stream=true and one-shot=true")
        return Stream(HTTPStatus.OK, written(sampler.watch(cell.id), call.version), JSON)
    return Reply(document=await (sampler.once(cell.id) if at_once else sampler.pair(cell.id)))


async def written(
    samples: AsyncGenerator[ContainerStatsResponse, None], version: ApiVersion
) -> AsyncIterator[bytes]:
    """Yield each sample as a line."""
    async with aclosing(samples):
        async for sample in samples:
            yield strictjson.encode(versions.reshape(sample, version)) + b"\n"


@route("GET", "/containers/{id}/top")
async def processes(call: Call, containers: Containers) -> Reply:
    cell = containers.find(call.path["id"])
    arguments = call.query.text("ps_args") or DEFAULT_ARGUMENTS
    if cell.record.state is State.RESTARTING:
        raise Conflict(f"Container {cell.id} is restarting, wait until the container is running")
    running(cell)
    pids = await asyncio.to_thread(containers.cgroup(cell).pids)
    titles, rows = await top.table(pids, arguments.split())
    containers.announce(cell, "top")
    return Reply(document=ContainerTopResponse(titles=titles, processes=rows))
