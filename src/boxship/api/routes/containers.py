"""The container routes: life, lists, waiting and streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from http import HTTPStatus
from typing import Final

import msgspec

from boxship.api.moment import before
from boxship.api.query import Filters, Query
from boxship.api.render import containers as render
from boxship.api.routing import (
    MULTIPLEXED_STREAM,
    RAW_STREAM,
    Call,
    Hijacked,
    Later,
    Reply,
    Stream,
    route,
)
from boxship.api.version import ApiVersion
from boxship.api.versions import creation
from boxship.container import attach as attaching
from boxship.container import listing, pruning, unlinking, updating
from boxship.container.containers import Containers
from boxship.container.create import Asked
from boxship.container.execs import Execs
from boxship.container.registry import Cell, Ending
from boxship.errors import BoxshipError, Conflict, InvalidRequest
from boxship.image.errors import NoSuchImage
from boxship.image.images import Images
from boxship.logs import reader
from boxship.logs.query import Query as LogQuery
from boxship.network.errors import NoSuchNetwork
from boxship.network.networks import Networks
from boxship.shim.errors import NoSuchProcess, ShimLost
from boxship.shim.protocol import INIT
from boxship.spec.engine.container import ContainerConfig, EndpointSettings, HostConfig
from boxship.spec.engine.container_bodies import ContainerCreateRequest, ContainerUpdateRequest
from boxship.spec.platform import Platform
from boxship.transport.exchange import Chunks

JSON: Final = {"Content-Type": "application/json"}
PRUNE_FILTERS: Final = frozenset({"label", "label!", "until"})
MULTIPLEXED_SINCE: Final = ApiVersion(1, 42)
SIGNAL_SINCE: Final = ApiVersion(1, 42)
MULTIPLE_ENDPOINTS_SINCE: Final = ApiVersion(1, 44)


# ---- lists


@route("GET", "/containers/json")
def list_containers(
    call: Call, containers: Containers, images: Images, networks: Networks
) -> Reply | Later:
    filters = call.query.filters()
    filters.only(listing.KNOWN)
    asked = listing.Asked(
        dict(filters.items()), call.query.flag("all"), call.query.integer("limit", 0) or 0
    )
    look = listing.Lookups(
        lambda ref: containers.find(ref).record,
        lambda ref: _ancestors(images, ref),
        lambda ref: _network_name(networks, ref),
    )
    registry = containers.registry
    chosen = [
        cell
        for record in listing.select((cell.record for cell in registry), asked, look)
        if (cell := registry.get(record.id))
    ]
    renamed = _renamed(images, chosen)
    if call.query.flag("size"):
        return _listed_with_sizes(call, containers, chosen, renamed)
    return Reply(document=render.listed(chosen, call.version, renamed), headers=JSON)


async def _listed_with_sizes(
    call: Call, containers: Containers, chosen: list[Cell], renamed: frozenset[str]
) -> Reply:
    sizes = await asyncio.to_thread(_sizes, containers, chosen)
    return Reply(document=render.listed(chosen, call.version, renamed, sizes), headers=JSON)


def _renamed(images: Images, cells: list[Cell]) -> frozenset[str]:
    """Return the containers whose image is no longer what they were told to use by that name."""
    meant: dict[str, str] = {}
    for ref in {cell.record.config.image or "" for cell in cells}:
        try:
            meant[ref] = str(images.get(ref).id) if ref else ""
        except (NoSuchImage, InvalidRequest):
            meant[ref] = ""
    return frozenset(c.id for c in cells if meant[c.record.config.image or ""] != c.record.image)


def _ancestors(images: Images, ref: str) -> frozenset[str]:
    try:
        image = images.get(ref)
    except (NoSuchImage, InvalidRequest):
        return frozenset()
    return frozenset({str(image.id)})


def _network_name(networks: Networks, ref: str) -> str:
    try:
        return networks.resolve(ref).name
    except NoSuchNetwork:
        return ref


def _sizes(containers: Containers, cells: list[Cell]) -> dict[str, tuple[int, int]]:
    return {cell.id: containers.sizes(cell) for cell in cells}


@route("GET", "/containers/{id}/json")
def inspect(call: Call, containers: Containers, execs: Execs) -> Reply | Later:
    cell = containers.find(call.path["id"])
    running = execs.of(cell.id)
    if call.query.flag("size"):
        return _inspected_with_sizes(call, containers, cell, running)
    body = render.inspected(containers, cell, running, call.version)
    return Reply(document=body, headers=JSON)


async def _inspected_with_sizes(
    call: Call, containers: Containers, cell: Cell, running: list[str]
) -> Reply:
    document = render.inspected_document(containers, cell, running, call.version)
    writable, root = await asyncio.to_thread(containers.sizes, cell)
    return Reply(document={**document, "SizeRw": writable, "SizeRootFs": root})


# ---- create


@route("POST", "/containers/create")
async def create(call: Call, containers: Containers) -> Reply:
    if not call.raw.strip():
        raise InvalidRequest("invalid JSON: got EOF while reading request body")
    asked = requested(
        call.body(ContainerCreateRequest),
        call.query.text("name"),
        call.query.text("platform"),
        call.version,
    )
    made, warnings = await containers.create(asked)
    return Reply(HTTPStatus.CREATED, {"Id": made.id, "Warnings": warnings})


def requested(body: ContainerCreateRequest, name: str, platform: str, version: ApiVersion) -> Asked:
    """Return what a create request asks for, as the newest version would say it."""
    members = {
        member: getattr(body, member)
        for member in ContainerConfig.__struct_fields__
        if getattr(body, member) is not None
    }
    if not members:
        raise InvalidRequest("config cannot be empty in order to create a container")
    for member in ("cmd", "entrypoint", "shell"):
        if isinstance(words := members.get(member), str):
            members[member] = [words]
    host = body.host_config or HostConfig()
    config = ContainerConfig(**members)
    creation.take_down(config, host, version)
    wanted = body.networking_config.endpoints_config if body.networking_config else None
    endpoints = {key: value or EndpointSettings() for key, value in (wanted or {}).items()}
    if version < MULTIPLE_ENDPOINTS_SINCE and len(endpoints) > 1:
        raise InvalidRequest(
            "Container cannot be created with multiple network endpoints: "
            + ", ".join(sorted(endpoints))
        )
    if body.mac_address:
        mode = host.network_mode or "bridge"
        mode = "bridge" if mode == "default" else mode
        given = endpoints.get(mode, EndpointSettings())
        endpoints[mode] = msgspec.structs.replace(
            given, mac_address=given.mac_address or body.mac_address
        )
    return Asked(config, host, endpoints, name, Platform.parse(platform) if platform else None)


# ---- life


@route("POST", "/containers/{id}/start")
async def start(call: Call, containers: Containers) -> Reply:
    if call.raw.strip() not in (b"", b"{}", b"null"):
        raise InvalidRequest(
            "starting container with non-empty request body was deprecated since API v1.22 and "
            "removed in v1.24"
        )
    attaching.detach_keys(call.query.text("detachKeys"))
    if "checkpoint" in call.query:
        raise InvalidRequest("checkpoint is only supported in experimental mode")
    await containers.start(call.path["id"])
    return Reply(HTTPStatus.NO_CONTENT)


@route("POST", "/containers/{id}/stop")
async def stop(call: Call, containers: Containers) -> Reply:
    await containers.stop(call.path["id"], _signal(call), call.query.integer("t"))
    return Reply(HTTPStatus.NO_CONTENT)


@route("POST", "/containers/{id}/restart")
async def restart(call: Call, containers: Containers) -> Reply:
    await containers.restart(call.path["id"], _signal(call), call.query.integer("t"))
    return Reply(HTTPStatus.NO_CONTENT)


def _signal(call: Call) -> str:
    return call.query.text("signal") if call.version >= SIGNAL_SINCE else ""


@route("POST", "/containers/{id}/kill")
async def kill(call: Call, containers: Containers) -> Reply:
    await containers.kill(call.path["id"], call.query.text("signal"))
    return Reply(HTTPStatus.NO_CONTENT)


@route("POST", "/containers/{id}/pause")
async def pause(call: Call, containers: Containers) -> Reply:
    await containers.pause(call.path["id"])
    return Reply(HTTPStatus.NO_CONTENT)


@route("POST", "/containers/{id}/unpause")
async def unpause(call: Call, containers: Containers) -> Reply:
    await containers.unpause(call.path["id"])
    return Reply(HTTPStatus.NO_CONTENT)


@route("POST", "/containers/{id}/rename")
async def rename(call: Call, containers: Containers) -> Reply:
    await containers.rename(call.path["id"], call.query.text("name"))
    return Reply(HTTPStatus.NO_CONTENT)


@route("POST", "/containers/{id}/update")
async def update(call: Call, containers: Containers) -> Reply:
    asked = call.body(ContainerUpdateRequest)
    warnings = await updating.update(containers, call.path["id"], asked, asked.restart_policy)
    return Reply(document={"Warnings": warnings or None})


@route("DELETE", "/containers/{id...}")
async def remove(call: Call, containers: Containers) -> Reply:
    if call.query.flag("link"):
        await unlinking.unlink(containers, call.path["id"])
        return Reply(HTTPStatus.NO_CONTENT)
    await containers.remove(
        call.path["id"], force=call.query.flag("force"), volumes=call.query.flag("v")
    )
    return Reply(HTTPStatus.NO_CONTENT)


@route("POST", "/containers/prune")
async def prune(call: Call, containers: Containers) -> Reply:
    filters = call.query.filters()
    filters.only(PRUNE_FILTERS)
    gone, freed = await pruning.prune(containers, dict(filters.items()), _until(filters))
    return Reply(document={"ContainersDeleted": gone or None, "SpaceReclaimed": freed})


def _until(filters: Filters) -> int | None:
    text = filters.one("until")
    return before(text, time.time_ns()) if text else None


@route("POST", "/containers/{id}/resize")
async def resize(call: Call, containers: Containers) -> Reply:
    height, width = size_of(call.query)
    cell = containers.find(call.path["id"])
    if cell.shim is None:
        raise Conflict(f"container {cell.id} is not running")
    try:
        await cell.shim.resize(INIT, height, width)
    except (NoSuchProcess, ShimLost):
        raise Conflict(f"container {cell.id} is not running") from None
    containers.announce(cell, "resize", height=str(height), width=str(width))
    return Reply(HTTPStatus.OK)


def size_of(query: Query) -> tuple[int, int]:
    """Return a terminal's height and width."""
    found = []
    for name in ("h", "w"):
        value = query.integer(name)
        if value is None or not 0 <= value < 65536:
            raise InvalidRequest(f'invalid resize {name} "{query.text(name)}"')
        found.append(value)
    return found[0], found[1]


# ---- waiting


@route("POST", "/containers/{id}/wait", finishes=False)
async def wait(call: Call, containers: Containers) -> Stream:
    ending = containers.wait(call.path["id"], call.query.text("condition"))
    return Stream(HTTPStatus.OK, _told(ending))


async def _told(ending: Awaitable[Ending]) -> AsyncIterator[bytes]:
    found = await ending
    document: dict[str, object] = {"StatusCode": found.exit_code}
    if found.error:
        document["Error"] = {"Message": found.error}
    yield msgspec.json.encode(document) + b"\n"


# ---- streams


@route("POST", "/containers/{id}/attach")
async def attach(call: Call, containers: Containers) -> Hijacked:
    cell = attaching.check(containers, call.path["id"])
    wanted = wanted_streams(call.query)
    multiplexed = not cell.record.tty and call.version >= MULTIPLEXED_SINCE
    async with attaching.unstarted(cell, wanted) as has_turn:
        hijacked = await call.hijack(MULTIPLEXED_STREAM if multiplexed else RAW_STREAM)
        fd, pending = hijacked.detach()
        await attaching.attach(containers, cell, wanted, fd, pending, has_turn=has_turn)
    return hijacked


@route("GET", "/containers/{id}/attach/ws", finishes=True)
async def attach_websocket(call: Call, containers: Containers) -> Hijacked:
    cell = attaching.check(containers, call.path["id"])
    wanted = wanted_streams(call.query, multiplex=False)
    async with attaching.unstarted(cell, wanted) as has_turn:
        hijacked = await call.websocket()
        fd, pending = hijacked.detach()
        await attaching.attach(containers, cell, wanted, fd, pending, has_turn=has_turn)
    return hijacked


def wanted_streams(query: Query, *, multiplex: bool = True) -> attaching.Wanted:
    """Return what an attaching client wants."""
    stdin, stdout, stderr = (query.flag(name) for name in ("stdin", "stdout", "stderr"))
    return attaching.Wanted(
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        logs=query.flag("logs"),
        stream=query.flag("stream") and (stdin or stdout or stderr),
        multiplex=multiplex,
        detach_keys=attaching.detach_keys(query.text("detachKeys")),
    )


@route("GET", "/containers/{id}/logs")
async def logs(call: Call, containers: Containers) -> Stream:
    cell = containers.find(call.path["id"])
    query = _log_query(call.query, tty=cell.record.tty)
    path, form = attaching.log_of(containers, cell)
    if form is None:
        raise BoxshipError("configured logging driver does not support reading")
    if call.query.flag("follow") and cell.record.state.has_process:
        pieces: Chunks = reader.follow(path, form, query, cell.ended)
    else:
        pieces = reader.read(path, form, query)
    multiplexed = not cell.record.tty and call.version >= MULTIPLEXED_SINCE
    return Stream(HTTPStatus.OK, pieces, MULTIPLEXED_STREAM if multiplexed else RAW_STREAM)


def _log_query(query: Query, *, tty: bool) -> LogQuery:
    stdout, stderr = query.flag("stdout"), query.flag("stderr")
    if not (stdout or stderr):
        raise InvalidRequest("Bad parameters: you must choose at least one stream")
    tail = query.text("tail")
    now = time.time_ns()
    since, until = query.text("since"), query.text("until")
    return LogQuery(
        stdout=stdout,
        stderr=stderr,
        since=before(since, now) if since not in ("", "0") else 0,
        until=before(until, now) if until not in ("", "0") else 0,
        tail=int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 19 else None,
        timestamps=query.flag("timestamps"),
        details=query.flag("details"),
        multiplex=not tty,
    )
