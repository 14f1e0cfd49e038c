"""Routes: what a handler is given, what it gives back, and how a path finds it.

    @route("POST", "/volumes/create")
    async def create(call: Call, volumes: Volumes) -> Reply: ...

What a handler names beside the call is a part of the engine, found by its type. A path parameter
is one segment; `{name...}` may span several. A change that was begun is finished even when the
client leaves; a question (GET, HEAD) and whatever is streamed end with it.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec

from boxship.api.query import Query
from boxship.api.version import NEWEST, OLDEST, ApiVersion, parse
from boxship.errors import InvalidRequest
from boxship.lib import strictjson
from boxship.transport import websocket
from boxship.transport.direct import DirectBody
from boxship.transport.exchange import Chunks, Exchange
from boxship.transport.upgrade import Relay, Upgraded

BODY_LIMIT: Final = 4 << 20
RAW_STREAM: Final = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM: Final = "application/vnd.docker.multiplexed-stream"

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in one piece: a document becomes JSON, bytes and text go out as they are."""

    status: int = HTTPStatus.OK
    document: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that is sent as it comes; what fails with a status fails before this is made."""

    status: int
    chunks: Chunks
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Hijacked = Upgraded
Answer = Reply | Stream | Hijacked
Later = Awaitable[Answer]  # who has nothing to wait for gives the answer itself, which costs less
Handler = Callable[..., Later | Answer]


class Call:
    """One request, parsed as far as every route wants it."""

    __slots__ = ("_body", "_exchange", "path", "query", "version")

    def __init__(
        self,
        exchange: Exchange,
        version: ApiVersion,
        path: Mapping[str, str],
        query: Query,
    ) -> None:
        self.version = version
        self.path = path
        self.query = query
        self._exchange = exchange
        self._body = b"" if exchange.is_empty else None

    @property
    def method(self) -> str:
        return self._exchange.head.method

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers, names in lower case."""
        return self._exchange.head.headers

    @property
    def raw(self) -> bytes:
        """The whole body. A route that `streams` reads it by `stream` instead."""
        if self._body is None:
            raise RuntimeError("this route streams its body")
        return self._body

    def body(self, kind: type[T]) -> T:
        """Return the body as a document of this kind; InvalidRequest when it is none.

        An empty body is an empty document, as Docker has it, and so is null.
        """
        if self.raw.strip() in (b"", b"null"):
            return msgspec.convert({}, kind)
        self.require_json()
        return strictjson.decode(self.raw, kind, "invalid JSON", limit=BODY_LIMIT, any_case=True)

    def require_json(self) -> None:
        """Refuse a body that does not call itself JSON."""
        said = self.headers.get("content-type", "")
        media = said.partition(";")[0].strip().lower()
        if media not in ("", "application/json"):
            raise InvalidRequest(
                f"unsupported Content-Type header ({said}): must be 'application/json'"
            )

    def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; only in a route that `streams`."""
        return self._exchange.chunks()

    def hand_over(self) -> DirectBody | None:
        """Give what is left of the body to a thread, until `take_back`; None where that cannot be.

        `progress.body` does so.
        """
        return self._exchange.hand_over()

    def take_back(self, body: DirectBody) -> None:
        """Go on with what a thread has left."""
        self._exchange.take_back(body)

    async def read_body(self) -> None:
        """Wait for the whole body; the router does this."""
        if self._body is None:
            self._body = await self._exchange.read_all(BODY_LIMIT)

    @property
    def wants_upgrade(self) -> bool:
        return bool(self._exchange.head.upgrade)

    async def hijack(self, content_type: str = RAW_STREAM, protocol: str = "tcp") -> Hijacked:
        """Answer 101 or, to a client that did not offer to switch, 200; the raw stream follows."""
        if self.wants_upgrade:
            switch = [("Connection", "Upgrade"), ("Upgrade", protocol)]
            upgraded = await self._upgrade(101, [("Content-Type", content_type), *switch])
        else:
            headers = [("Content-Type", content_type), ("Connection", "close")]
            upgraded = await self._upgrade(HTTPStatus.OK, headers)
        if upgraded.encrypted:
            await upgraded.relay(Relay())
        return upgraded

    async def switch(self, protocol: str) -> Hijacked:
        """Answer 101; another protocol of ours goes on, encrypted as the connection was."""
        switch = [("Connection", "Upgrade"), ("Upgrade", protocol)]
        return await self._upgrade(101, switch, apart=False)

    async def websocket(self) -> Hijacked:
        """Answer a websocket's greeting; what is detached carries the messages' payload."""
        answer = websocket.greet(self._exchange.head)
        upgraded = await self._upgrade(101, answer.headers)
        await upgraded.relay(websocket.WebsocketRelay(binary=answer.binary))
        return upgraded

    async def _upgrade(
        self, status: int, headers: list[tuple[str, str]], *, apart: bool = True
    ) -> Upgraded:
        while await self._exchange.read():
            pass
        return await self._exchange.upgrade(status, headers, apart=apart)


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the API: which requests, and what answers them."""

    method: str
    template: str
    handler: Handler
    since: ApiVersion
    streams: bool  # the handler reads the body itself
    finishes: bool  # goes on when the client leaves


def route(
    method: str,
    template: str,
    *,
    since: str = str(OLDEST),
    streams: bool = False,
    finishes: bool | None = None,
) -> Callable[[Handler], Handler]:
    """Let the decorated function answer `method` requests for paths like `template`."""
    done = method not in ("GET", "HEAD") if finishes is None else finishes

    def mark(handler: Handler) -> Handler:
        made = Route(method, template, handler, parse(since), streams, done)
        routes: list[Route] = getattr(handler, "routes", [])
        handler.routes = [*routes, made]  # type: ignore[attr-defined]
        return handler

    return mark


def routes_of(module: Any) -> list[Route]:
    """Return the routes that a module defines."""
    found = (getattr(value, "routes", ()) for value in vars(module).values() if callable(value))
    return [item for routes in found for item in routes if isinstance(item, Route)]


class Matcher:
    """Finds the route of a path, in the order in which the routes were given."""

    def __init__(self, routes: list[Route]) -> None:
        self._exact: dict[tuple[str, str], list[Route]] = {}
        self._open: dict[tuple[str, str], list[tuple[list[str], Route]]] = {}
        for item in routes:
            if "{" not in item.template:
                self._exact.setdefault((item.method, item.template), []).append(item)
            else:
                pattern = item.template[1:].split("/")
                self._open.setdefault((item.method, pattern[0]), []).append((pattern, item))

    def find(
        self, method: str, segments: list[str], version: ApiVersion = NEWEST
    ) -> tuple[Route, dict[str, str]] | None:
        """Return the route and the path's parameters, or None where the API has no such path."""
        for item in self._exact.get((method, "/" + "/".join(segments)), ()):
            if item.since <= version:
                return item, {}
        for pattern, item in self._open.get((method, segments[0]), ()):
            found = _match(pattern, segments)
            if found is not None and item.since <= version:
                return item, found
        return None


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    """Compare a template with a path; a spanning parameter takes all that the rest leaves it."""
    spare = len(segments) - len(pattern)
    if spare < 0 or (spare and not _spans(tuple(pattern))):
        return None
    found: dict[str, str] = {}
    at = 0
    for part in pattern:
        if part[:1] != "{":
            if part != segments[at]:
                return None
            at += 1
        elif part.endswith("...}"):
            found[part[1:-4]] = "/".join(segments[at : at + 1 + spare])
            at += 1 + spare
        else:
            found[part[1:-1]] = segments[at]
            at += 1
    return found


@functools.cache
def _spans(pattern: tuple[str, ...]) -> bool:
    return any(part.endswith("...}") for part in pattern)
