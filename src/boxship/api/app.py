"""From a request to its answer: path, version, route, parts, handler, errors, older versions."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from types import ModuleType
from typing import Any, Final, Protocol, get_type_hints
from urllib.parse import quote, unquote_to_bytes

import msgspec

from boxship.api import versions
from boxship.api.query import Query
from boxship.api.routing import Answer, Call, Matcher, Reply, Route, Stream, routes_of
from boxship.api.status import sentence_of, status_of
from boxship.api.version import NEWEST, OLDEST, ApiVersion, parse, require_served
from boxship.errors import BoxshipError, Forbidden, InvalidRequest
from boxship.lib import strictjson
from boxship.spec.product import VERSION
from boxship.transport.exchange import Exchange
from boxship.transport.gone import ClientGone
from boxship.transport.upgrade import Upgraded
from boxship.wire.http import BadRequest

log = logging.getLogger(__name__)

JSON: Final = ("Content-Type", "application/json")
PLAIN: Final = ("Content-Type", "text/plain; charset=utf-8")
NOT_FOUND: Final = "page not found"
FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

Invoke = Callable[[Call], Any]


class Meter(Protocol):
    """Counts what has been answered."""

    def note(self, method: str, template: str, seconds: float) -> None: ...


def common_headers(*, experimental: bool = False) -> bytes:
    """Return the header lines that every answer carries."""
    return (
        f"Api-Version: {NEWEST}\r\n"
        f"Docker-Experimental: {str(experimental).lower()}\r\n"
        "Ostype: linux\r\n"
        f"Server: Boxship/{VERSION} (linux)\r\n"
    ).encode()


class Api:
    """The Engine API over some parts of an engine; `answer` is what a server calls."""

    def __init__(
        self,
        modules: Iterable[ModuleType],
        parts: Mapping[type, object],
        *,
        oldest: ApiVersion = OLDEST,
        hosts: Sequence[str] = (),
        meter: Meter | None = None,
    ) -> None:
        """`hosts` are the names by which TCP clients that nobody has verified may call us."""
        self._meter = meter
        routes = [item for module in modules for item in routes_of(module)]
        self._matcher = Matcher(routes)
        self._invoke = {id(item): _bind(item, parts) for item in routes}
        self._oldest = oldest
        self._hosts = frozenset({"localhost", *(host.lower() for host in hosts)})

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request, whatever happens."""
        try:
            await self._answer(exchange)
        except (ClientGone, asyncio.CancelledError):
            raise
        except BoxshipError as error:
            _say(exchange, status_of(error), str(error))
        except BadRequest as error:
            exchange.closes = True
            _say(exchange, error.status, str(error))
        except Exception as error:
            log.exception("%s %s", exchange.head.method, _shown(exchange.head.target))
            _say(exchange, HTTPStatus.INTERNAL_SERVER_ERROR, sentence_of(error))

    async def _answer(self, exchange: Exchange) -> None:
        head = exchange.head
        self._guard(exchange)
        if head.method == "OPTIONS":
            exchange.respond(HTTPStatus.OK, (), b"")
            return
        path, _, query = head.target.decode("latin-1").partition("?")
        segments = _segments(path)
        if segments is None:
            _redirect(exchange, path, query)
            return
        version, segments = _take_version(segments)
        found = self._matcher.find(head.method, segments, max(version or NEWEST, self._oldest))
        if found is None:
            _say(exchange, HTTPStatus.NOT_FOUND, NOT_FOUND)
            return
        if version is not None:
            require_served(version, self._oldest)
        item, parameters = found
        exchange.cancellable = not item.finishes
        call = Call(exchange, version or NEWEST, parameters, Query(query))
        begun = time.monotonic() if self._meter else 0.0
        if not item.streams:
            await call.read_body()
        answer = self._invoke[id(item)](call)
        if inspect.isawaitable(answer):
            answer = await answer
        await _send(exchange, call, answer)
        if self._meter:
            self._meter.note(item.method, item.template, time.monotonic() - begun)

    def _guard(self, exchange: Exchange) -> None:
        """Keep web pages out: they name an origin, a host of their own choice, or send forms."""
        headers = exchange.head.headers
        if "origin" in headers:
            raise Forbidden("requests that come from a web page are refused")
        if not exchange.over_tcp or exchange.confidential:
            return
        if not self._is_ours(headers.get("host", "")):
            raise Forbidden("this engine does not answer under that host name")
        if headers.get("content-type", "").partition(";")[0].strip().lower() in FORMS:
            raise Forbidden("form content types are refused")

    def _is_ours(self, host: str) -> bool:
        name = host.lower().removesuffix(".")
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _bind(item: Route, parts: Mapping[type, object]) -> Invoke:
    """Give a handler the parts that it names by type."""
    hints = get_type_hints(item.handler)
    wanted: dict[str, object] = {}
    for name in list(inspect.signature(item.handler).parameters)[1:]:
        kind = hints[name]
        if kind not in parts:
            raise TypeError(f"{item.method} {item.template} needs a {kind}, which is not there")
        wanted[name] = parts[kind]
    handler = item.handler
    if not wanted:
        return handler
    return lambda call: handler(call, **wanted)


def _segments(path: str) -> list[str] | None:
    """Split a path; None when it is not written in the one way in which it is routed."""
    if path.startswith("http://"):
        path = "/" + path[7:].partition("/")[2]
    try:
        text = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise InvalidRequest("invalid path") from None
    if not text.startswith("/") or "\0" in text:
        raise InvalidRequest("invalid path")
    segments = text[1:].split("/")
    inner = segments[:-1] if segments[-1] == "" and len(segments) > 1 else segments
    if any(part in ("", ".", "..") for part in inner) and segments != [""]:
        return None
    return segments


def _redirect(exchange: Exchange, path: str, query: str) -> None:
    """Send the client to the plain spelling of its path, as Go's router does."""
    kept: list[str] = []
    for part in unquote_to_bytes(path).decode().split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(quote(part, safe=":@!$&'()*+,;=~"))
    location = "/" + "/".join(kept) + (f"?{query}" if query else "")
    exchange.respond(HTTPStatus.MOVED_PERMANENTLY, [("Location", location)], b"")


def _take_version(segments: list[str]) -> tuple[ApiVersion | None, list[str]]:
    first = segments[0]
    if len(segments) > 1 and first[:1] == "v" and first[1:2].isdigit():
        return parse(first[1:]), segments[1:]
    return None, segments


async def _send(exchange: Exchange, call: Call, answer: Answer) -> None:
    match answer:
        case Reply(status, document, headers):
            _reply(exchange, call.version, status, document, headers)
        case Stream(status, chunks, content_type, headers):
            fields = [("Content-Type", content_type), *headers.items()]
            await exchange.respond_stream(status, fields, chunks)
        case Upgraded():
            pass


def _reply(
    exchange: Exchange,
    version: ApiVersion,
    status: int,
    document: object,
    headers: Mapping[str, str],
) -> None:
    fields = list(headers.items())
    if document is None:
        body = b""
    elif isinstance(document, bytes):
        body = document
    elif isinstance(document, str):
        body = document.encode()
        fields.append(PLAIN)
    else:
        body = strictjson.encode(versions.reshape(document, version)) + b"\n"
        fields.append(JSON)
    exchange.respond(status, fields, body)


def _say(exchange: Exchange, status: HTTPStatus, message: str) -> None:
    """Answer with an error, unless an answer has begun: then end the connection in the middle."""
    if exchange.answered:
        log.warning(
            "the answer to %s %s was cut short: %s",
            *(exchange.head.method, _shown(exchange.head.target), message),
        )
        raise ClientGone("the answer was cut short")
    body = msgspec.json.encode({"message": message.encode("utf-8", "replace").decode()}) + b"\n"
    if status is HTTPStatus.NOT_MODIFIED:
        body = b""
    exchange.respond(status, [JSON], body)


def _shown(target: bytes) -> str:
    """Return a request's target for the log, without its query: secrets travel in that."""
    return target.partition(b"?")[0].decode("ascii", "backslashreplace")
