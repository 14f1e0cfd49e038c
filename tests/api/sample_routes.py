"""Routes that exist for tests only: each shows one thing that a handler can do."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import msgspec

from boxship.api.progress import drawn
from boxship.api.routing import Answer, Call, Hijacked, Reply, Stream, route
from boxship.errors import Conflict, NotFound, NotModified
from boxship.lib.filepart import FilePart

PAGE = bytes(64 << 10)
CONTENT = bytes(range(256)) * 40_000  # ten megabytes


@dataclass
class Diary:
    """A part of the engine that remembers what happened."""

    lines: list[str] = field(default_factory=list)


class Note(msgspec.Struct):
    text: str | None = msgspec.field(default=None, name="Text")
    count: int | None = msgspec.field(default=None, name="Count")


@route("GET", "/quick")
def quick(call: Call) -> Reply:
    return Reply(200, "OK")


@route("GET", "/page")
def page(call: Call, diary: Diary) -> Reply:
    diary.lines.append("asked")
    return Reply(200, PAGE)


@route("POST", "/notes")
async def write(call: Call, diary: Diary) -> Reply:
    note = call.body(Note)
    diary.lines.append(note.text or "")
    return Reply(201, {"Text": note.text, "Count": note.count})


@route("GET", "/file")
async def file(call: Call, diary: Diary) -> Stream:
    """Text, then what is in a file, then text."""

    def parts() -> Iterator[bytes | FilePart]:
        yield b"before "
        with tempfile.TemporaryFile() as made:
            made.write(CONTENT)
            made.flush()
            try:
                yield FilePart(made.fileno(), len(CONTENT))
            finally:
                diary.lines.append("given back")
        yield b" after"

    return Stream(200, drawn(parts()))


@route("GET", "/notes/{id}/json")
async def read(call: Call) -> Reply:
    match call.path["id"]:
        case "same":
            raise NotModified("")
        case "busy":
            raise Conflict("it is busy")
        case "broken":
            raise RuntimeError("a bug")
        case "there":
            return Reply(200, {"id": "there", "version": str(call.version)})
        case other:
            raise NotFound(f"No such note: {other}")


@route("GET", "/images/{name...}/json")
async def image(call: Call) -> Reply:
    return Reply(200, {"name": call.path["name"]})


@route("GET", "/new", since="1.50")
async def new(call: Call) -> Reply:
    return Reply(200, {})


@route("GET", "/query")
async def query(call: Call) -> Reply:
    filters = call.query.filters()
    filters.only({"label", "name"})
    return Reply(
        200,
        {
            "all": call.query.flag("all"),
            "limit": call.query.integer("limit", 0),
            "labels": list(filters.get("label")),
        },
    )


@route("POST", "/count", streams=True)
async def count(call: Call) -> Reply:
    size = 0
    async for piece in call.stream():
        size += len(piece)
    return Reply(200, {"size": size})


@route("POST", "/refuse", streams=True)
async def refuse(call: Call) -> Reply:
    raise Conflict("not today")


@route("GET", "/made")
async def made(call: Call, diary: Diary) -> Stream:
    """What a thread makes and sends: some small pieces, one that is large, or a failure."""

    def pieces() -> Iterator[bytes]:
        try:
            yield b"before "
            yield CONTENT
            if call.query.flag("fails"):
                raise Conflict("lost the rest")
            yield b" after"
        finally:
            diary.lines.append("given back")

    return Stream(200, pieces())


@route("GET", "/ticks")
async def ticks(call: Call, diary: Diary) -> Stream:
    async def forever() -> AsyncIterator[bytes]:
        diary.lines.append("begun")
        try:
            for number in range(call.query.integer("n", 1 << 30) or 0):
                yield b"tick %d\n" % number
                await asyncio.sleep(0.001)
        finally:
            diary.lines.append("ended")

    return Stream(200, forever(), "text/plain")


@route("GET", "/breaks")
async def breaks(call: Call) -> Stream:
    async def some() -> AsyncIterator[bytes]:
        yield b"some"
        raise Conflict("lost the rest")

    return Stream(200, some(), "text/plain")


@route("GET", "/slow")
async def slow(call: Call, diary: Diary) -> Reply:
    try:
        await asyncio.sleep(30)
    finally:
        diary.lines.append("left")
    return Reply(200)


@route("POST", "/work")
async def work(call: Call, diary: Diary) -> Reply:
    await asyncio.sleep(0.3)
    diary.lines.append("finished")
    return Reply(204)


@route("POST", "/attach")
async def attach(call: Call) -> Answer:
    hijacked = await call.hijack()
    await asyncio.to_thread(echo, *hijacked.detach())
    return hijacked


@route("GET", "/attach/ws")
async def attach_ws(call: Call) -> Hijacked:
    hijacked = await call.websocket()
    await asyncio.to_thread(echo, *hijacked.detach())
    return hijacked


def echo(descriptor: int, pending: bytes) -> None:
    """Send back what comes until it ends, as a shim would with a descriptor of its own."""
    os.set_blocking(descriptor, True)
    try:
        os.write(descriptor, pending.upper())
        while data := os.read(descriptor, 65536):
            os.write(descriptor, data.upper())
    finally:
        os.close(descriptor)
