"""`GET /events`: what happens, one JSON document a line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from boxship.api import versions
from boxship.api.routing import Call, Stream, route
from boxship.api.version import ApiVersion
from boxship.api.versions import events as _older  # noqa: F401 - registers its steps
from boxship.events.journal import Journal
from boxship.events.journal import Stream as Reading
from boxship.lib import strictjson
from boxship.spec.engine.system import EventMessage

JSON: Final = "application/json"
LINES: Final = "application/jsonl"
SEQUENCE: Final = "application/json-seq"
SINCE_LINES: Final = ApiVersion(1, 52)
SINCE_IMAGE_CREATE: Final = ApiVersion(1, 46)


@route("GET", "/events")
async def watch(call: Call, journal: Journal) -> Stream:
    query = call.query
    wanted = dict(query.filters().items())
    reading = journal.stream(query.text("since"), query.text("until"), wanted)
    kind = content_type(call.version, call.headers.get("accept", ""))
    return Stream(HTTPStatus.OK, written(reading, call.version, kind), kind)


def content_type(version: ApiVersion, accept: str) -> str:
    """Choose how events are told apart: by what the client takes, if it knows the choice."""
    if version < SINCE_LINES:
        return JSON
    offered = [part.partition(";")[0].strip() for part in accept.split(",")]
    known = (LINES, "application/x-ndjson", SEQUENCE)
    return next((media for media in offered if media in known), LINES)


async def written(reading: Reading, version: ApiVersion, kind: str) -> AsyncIterator[bytes]:
    """Yield each event as the client's version knows it."""
    mark = b"\x1e" if kind == SEQUENCE else b""
    try:
        async for event in reading:
            if is_known(event, version):
                yield mark + strictjson.encode(versions.reshape(event, version)) + b"\n"
    finally:
        reading.close()


def is_known(event: EventMessage, version: ApiVersion) -> bool:
    """Tell whether clients of this version hear of such an event at all."""
    is_new = event.type == "image" and event.action == "create"
    return not is_new or version >= SINCE_IMAGE_CREATE
