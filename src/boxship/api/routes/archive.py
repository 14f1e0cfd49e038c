"""Files in and out of containers: copy, export, changes."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import Final

import msgspec

from boxship.api import progress
from boxship.api.routing import Call, Reply, Stream, route
from boxship.container.archive import Archives, Wishes
from boxship.container.targets import Target, go_mode
from boxship.errors import InvalidRequest
from boxship.lib import moments

JSON: Final = {"Content-Type": "application/json"}
TAR: Final = "application/x-tar"
STAT: Final = "X-Docker-Container-Path-Stat"


@route("HEAD", "/containers/{id}/archive")
async def look(call: Call, archives: Archives) -> Reply:
    target = await archives.look(call.path["id"], _path(call))
    return Reply(headers=_told(target))


@route("GET", "/containers/{id}/archive")
async def get(call: Call, archives: Archives) -> Stream:
    target, reading = await archives.get(call.path["id"], _path(call))
    return Stream(HTTPStatus.OK, progress.drawn(reading), TAR, _told(target))


@route("PUT", "/containers/{id}/archive", streams=True)
async def put(call: Call, archives: Archives) -> Reply:
    wishes = Wishes(call.query.flag("noOverwriteDirNonDir"), call.query.flag("copyUIDGID"))
    path = _path(call)
    async with progress.body(call) as pieces:
        await archives.put(call.path["id"], path, pieces, wishes)
    return Reply()


@route("GET", "/containers/{id}/export")
async def export(call: Call, archives: Archives) -> Stream:
    reading = await archives.export(call.path["id"])
    return Stream(HTTPStatus.OK, progress.drawn(reading), "application/octet-stream")


@route("GET", "/containers/{id}/changes")
async def changes(call: Call, archives: Archives) -> Reply:
    found = await archives.changes(call.path["id"])
    if not found:
        return Reply(document=b"null\n", headers=JSON)  # as Docker has it
    return Reply(document=[{"Path": one.path, "Kind": int(one.kind)} for one in found])


def _path(call: Call) -> str:
    path = call.query.text("path")
    if not path:
        raise InvalidRequest("bad parameter: path cannot be empty")
    if "\0" in path:
        raise InvalidRequest("bad parameter: path has a NUL byte")
    return path


def _told(target: Target) -> dict[str, str]:
    """Return the header by which clients learn what the path is."""
    document = {
        "name": target.name,
        "size": target.status.st_size,
        "mode": go_mode(target.status.st_mode),
        "mtime": moments.show(target.status.st_mtime_ns),
        "linkTarget": target.link,
    }
    text = msgspec.json.encode(document)
    return {STAT: base64.b64encode(text).decode()}
