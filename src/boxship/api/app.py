"""From a request to its answer: path, version, route, parts, handler, errors, older versions."""

from __future__ import annotations

import functools
import inspect
import ipaddress
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from boxship.transport.connection import Work
from boxship.transport.exchange import Exchange
from boxship.transport.gone import ClientGone
from boxship.transport.upgrade import Upgraded
from boxship.wire.http import BadRequest

log = logging.getLogger(__name__)

JSON: Final = ("Content-Type", "application/json")
PLAIN: Final = ("Content-Type", "text/plain; charset=utf-8")
NOT_FOUND: Final = "page not found"
FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})

KNOWN: Final = 128  # paths that clients ask for again and again
KNOWN_PATH: Final = 256  # bytes of such a path
NO_QUERY: Final = Query()

Invoke = Callable[[Call], Any]


@dataclass(frozen=True, slots=True)
class Way:
    """What a path leads to."""

    route: Route
    parameters: Mapping[str, str]
    version: ApiVersion
    invoke: Invoke


@dataclass(frozen=True, slots=True)
class Moved:
    """The path has another spelling."""

    location: str


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
        self._known = functools.lru_cache(KNOWN)(self._find)
        self._oldest = oldest
        self._hosts = frozenset({"localhost", *(host.lower() for host in hosts)})

    def answer(self, exchange: Exchange) -> Work | None:
        """Answer one request, whatever happens; at once where nothing has to be waited for."""
        try:
            asked = self._understand(exchange)
            if asked is None:
                return None
            way, call = asked
            begun = time.monotonic() if self._meter else 0.0
            if way.route.streams or not exchange.is_empty:
                return self._answer_later(exchange, way, call, begun)
            answer = way.invoke(call)
            if not isinstance(answer, Reply):
                return self._answer_later(exchange, way, call, begun, answer)
            _reply(exchange, call.version, answer)
            self._note(way.route, begun)
        except ClientGone:
            raise
        except Exception as error:
            _refuse(exchange, error)
        return None

    async def _answer_later(
        self, exchange: Exchange, way: Way, call: Call, begun: float, answer: Any = None
    ) -> None:
        try:
            if answer is None:
                if not way.route.streams:
                    await call.read_body()
                answer = way.invoke(call)
            if inspect.isawaitable(answer):
                answer = await answer
            await _send(exchange, call, answer)
            self._note(way.route, begun)
        except ClientGone:
            raise
        except Exception as error:
            _refuse(exchange, error)

    def _note(self, route: Route, begun: float) -> None:
        if self._meter:
            self._meter.note(route.method, route.template, time.monotonic() - begun)

    def _understand(self, exchange: Exchange) -> tuple[Way, Call] | None:
        """Find who answers a request; None when that was simple enough to be done here."""
        head = exchange.head
        self._guard(exchange)
        if head.method == "OPTIONS":
            exchange.respond(HTTPStatus.OK, (), b"")
            return None
        path, _, query = head.target.partition(b"?")
        find = self._find if len(path) > KNOWN_PATH else self._known
        way = find(head.method, path)
        if way is None:
            _say(exchange, HTTPStatus.NOT_FOUND, NOT_FOUND)
            return None
        if isinstance(way, Moved):
            location = way.location + (f"?{query.decode('latin-1')}" if query else "")
            exchange.respond(HTTPStatus.MOVED_PERMANENTLY, [("Location", location)], b"")
            return None
        exchange.cancellable = not way.route.finishes
        asked = Query(query.decode("latin-1")) if query else NO_QUERY
        return way, Call(exchange, way.version, way.parameters, asked)

    def _find(self, method: str, path: bytes) -> Way | Moved | None:
        segments = _segments(path.decode("latin-1"))
        if segments is None:
            return Moved(_plain_path(path))
        version, segments = _take_version(segments)
        found = self._matcher.find(method, segments, max(version or NEWEST, self._oldest))
        if found is None:
            return None
        if version is not None:
            require_served(version, self._oldest)
        route, parameters = found
        return Way(route, parameters, version or NEWEST, self._invoke[id(route)])

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


def _plain_path(path: bytes) -> str:
    """Return the plain spelling of a path, to which Go's router sends a client."""
    kept: list[str] = []
    for part in unquote_to_bytes(path).decode().split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(quote(part, safe=":@!$&'()*+,;=~"))
    return "/" + "/".join(kept)


def _take_version(segments: list[str]) -> tuple[ApiVersion | None, list[str]]:
    first = segments[0]
    if len(segments) > 1 and first[:1] == "v" and first[1:2].isdigit():
        return parse(first[1:]), segments[1:]
    return None, segments


async def _send(exchange: Exchange, call: Call, answer: Answer) -> None:
    match answer:
        case Reply():
            _reply(exchange, call.version, answer)
        case Stream(status, chunks, content_type, headers):
            fields = [("Content-Type", content_type), *headers.items()]
            await exchange.respond_stream(status, fields, chunks)
        case Upgraded():
            pass


def _reply(exchange: Exchange, version: ApiVersion, answer: Reply) -> None:
    document = answer.document
    fields = list(answer.headers.items())
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
    exchange.respond(answer.status, fields, body)


def _refuse(exchange: Exchange, error: Exception) -> None:
    """Tell of a failure in the words and with the status that clients know it by."""
    match error:
        case BoxshipError():
            _say(exchange, status_of(error), str(error))
        case BadRequest():
            exchange.closes = True
            _say(exchange, error.status, str(error))
        case _:
            log.error("%s %s", exchange.head.method, _shown(exchange.head.target), exc_info=error)
            _say(exchange, HTTPStatus.INTERNAL_SERVER_ERROR, sentence_of(error))


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
