"""From a request to its answer: read, let in, routed, answered, and told of in the access log."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from boxship.errors import InvalidRequest
from boxship.lib import strictjson
from boxship.registry.auth.access import CATALOG, Access, Action, Asked, Authority, Identity
from boxship.registry.errors import NameInvalid, RegistryError, Unsupported
from boxship.registry.events import Source
from boxship.registry.http import discover, manage, pull, push, target
from boxship.registry.http.call import Call, Reply
from boxship.registry.http.target import Place, Target
from boxship.registry.names import Name
from boxship.registry.parts import Flow, Incomplete, Part
from boxship.registry.service import Service
from boxship.registry.storage.filesystem import FULL
from boxship.transport.exchange import Exchange
from boxship.transport.gone import ClientGone
from boxship.wire import http

log = logging.getLogger(__name__)

STALL: Final = 600.0  # seconds for a client to take 8 MiB
PIECE: Final = 512 << 10
Route = Callable[[Call, Service], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Rule:
    """What answers a method at a place, and what one must be allowed for it."""

    route: Route
    actions: tuple[Action, ...] = ()
    changes: bool = False


PULL: Final = (Action.PULL,)
PUSH: Final = (Action.PULL, Action.PUSH)
DELETE: Final = (Action.DELETE,)
ROUTES: Final[Mapping[Place, Mapping[str, Rule]]] = {
    Place.BASE: {"GET": Rule(discover.base)},
    Place.CATALOG: {"GET": Rule(discover.catalog)},
    Place.TAGS: {"GET": Rule(discover.tags, PULL)},
    Place.REFERRERS: {"GET": Rule(discover.referrers, PULL)},
    Place.MANIFEST: {
        "GET": Rule(pull.get_manifest, PULL),
        "HEAD": Rule(pull.get_manifest, PULL),
        "PUT": Rule(push.put_manifest, PUSH, changes=True),
        "DELETE": Rule(manage.delete_manifest, DELETE, changes=True),
    },
    Place.BLOB: {
        "GET": Rule(pull.get_blob, PULL),
        "HEAD": Rule(pull.get_blob, PULL),
        "DELETE": Rule(manage.delete_blob, DELETE, changes=True),
    },
    Place.UPLOADS: {"POST": Rule(push.begin_upload, PUSH, changes=True)},
    Place.UPLOAD: {
        "GET": Rule(push.upload_status, PUSH),
        "HEAD": Rule(push.upload_status, PUSH),
        "PATCH": Rule(push.append_upload, PUSH, changes=True),
        "PUT": Rule(push.finish_upload, PUSH, changes=True),
        "DELETE": Rule(push.cancel_upload, PUSH, changes=True),
    },
}


class Extra(Protocol):
    """Answers what is not part of the distribution protocol: health, metrics, tokens."""

    async def __call__(self, exchange: Exchange, target: Target) -> Reply | None: ...


class Journal(Protocol):
    """Is told of every request that was answered."""

    def __call__(self, record: Record) -> None: ...


@dataclass(slots=True)
class Record:
    """One request, for the access log and the metrics."""

    id: str
    method: str
    path: str
    place: str
    peer: str
    agent: str
    user: str = ""
    repository: str = ""
    status: int = 0
    sent: int = 0
    received: int = 0
    seconds: float = 0.0
    problem: str = ""


class Answers:
    """Answers the requests of one server."""

    def __init__(
        self, service: Service, authority: Authority, extra: Extra, journal: Journal
    ) -> None:
        self._service = service
        self._authority = authority
        self._extra = extra
        self._journal = journal

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request. Nothing that goes wrong leaves without an answer and a record."""
        began = time.perf_counter()
        head = exchange.head
        path = head.target.partition(b"?")[0][:512].decode("latin-1")
        agent = head.headers.get("user-agent", "")[:256]
        record = Record(str(uuid.uuid4()), head.method, path, "other", exchange.peer, agent)
        try:
            reply = await self._reply(exchange, record)
            record.status = reply.status
            await self._send(exchange, reply, record)
        except ClientGone:
            record.status = record.status or 499
            record.problem = "the client has gone"
            raise
        finally:
            record.received = exchange.received
            record.seconds = time.perf_counter() - began
            self._journal(record)

    async def _reply(self, exchange: Exchange, record: Record) -> Reply:
        try:
            return await self._route(exchange, record)
        except RegistryError as error:
            record.problem = str(error)
            return _problem(error.status, error.code, str(error), error.detail, error.headers())
        except http.BadRequest as error:
            return _problem(error.status, "UNKNOWN", str(error))
        except InvalidRequest as error:
            return _problem(HTTPStatus.BAD_REQUEST, "UNKNOWN", str(error))
        except ClientGone:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL:
                record.problem = str(error)
                said = f"cannot store: {FULL[error.errno]}"
                return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", said)
            log.exception("answering %s %s", record.method, record.path)
            record.problem = str(error)
            return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "UNKNOWN", "unknown error")

    async def _route(self, exchange: Exchange, record: Record) -> Reply:
        service = self._service
        asked = target.read(exchange.head.target, service.policy.prefix)
        record.place = asked.place
        if asked.place is Place.OTHER:
            return await self._other(exchange, asked)
        name = Name.parse(asked.name) if asked.name else Name("")
        if name:
            name = service.local_name(name, asked.one("ns"))
        record.repository = name
        methods = ROUTES[asked.place]
        method = exchange.head.method
        rule = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
        wanted = _wanted(rule, asked.place, name)
        identity = await self._admit(exchange, wanted)
        record.user = identity.name
        if rule is None:
            reply = _problem(
                HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", "the operation is unsupported"
            )
            reply.headers.append(("Allow", ", ".join(methods)))
            return reply
        if rule.changes and service.policy.read_only:
            raise Unsupported("this registry is read-only for now")
        if rule.changes and method != "DELETE" and service.upstream_of(name) is not None:
            raise Unsupported("this repository is pulled through from another registry")
        call = self._call(exchange, asked, identity, name, record)
        return await rule.route(call, service)

    async def _admit(self, exchange: Exchange, wanted: list[Access]) -> Identity:
        headers = exchange.head.headers
        asked = Asked(headers.get("authorization", ""), exchange.peer, self._base(exchange))
        return await self._authority.admit(asked, wanted)

    def _base(self, exchange: Exchange) -> str:
        if self._service.policy.host:
            return self._service.policy.host
        headers = exchange.head.headers
        scheme = headers.get("x-forwarded-proto") or ("https" if exchange.encrypted else "http")
        if scheme not in ("http", "https"):
            scheme = "https"
        host = headers.get("x-forwarded-host") or headers.get("host", "")
        return f"{scheme}://{_tame(host)}"

    def _call(
        self, exchange: Exchange, asked: Target, identity: Identity, name: Name, record: Record
    ) -> Call:
        base = self._base(exchange)
        source = Source(
            request_id=record.id,
            peer=record.peer,
            host=base.partition("://")[2],
            method=record.method,
            agent=record.agent,
            actor=identity.name,
            base=base,
        )
        root = self._service.policy.host + self._service.policy.prefix
        return Call(exchange, asked, identity, name, root, source)

    async def _other(self, exchange: Exchange, asked: Target) -> Reply:
        if (reply := await self._extra(exchange, asked)) is not None:
            return reply
        if asked.path == "/":
            return Reply(HTTPStatus.OK)
        if asked.path.startswith("/v2/") and asked.path.count("/") > 2:
            await self._admit(exchange, [])
            raise NameInvalid(asked.path[4:204])
        return _problem(HTTPStatus.NOT_FOUND, "UNSUPPORTED", "page not found")

    async def _send(self, exchange: Exchange, reply: Reply, record: Record) -> None:
        match reply.body:
            case bytes(data):
                exchange.respond(reply.status, reply.headers, data)
                record.sent = len(data)
            case Part() as part:
                await self._send_part(exchange, reply, part)
                record.sent = part.count
            case Flow() as flow:
                await self._send_flow(exchange, reply, flow)
                record.sent = flow.size

    async def _send_flow(self, exchange: Exchange, reply: Reply, flow: Flow) -> None:
        try:
            await exchange.respond_stream(
                reply.status, reply.headers, flow.chunks, length=flow.size
            )
        except Incomplete as error:
            raise ClientGone(str(error)) from error  # it sees that the rest is missing

    async def _send_part(self, exchange: Exchange, reply: Reply, part: Part) -> None:
        content = part.content
        try:
            if content.file is not None:
                await exchange.respond_file(
                    reply.status, reply.headers, content.file, part.offset, part.count, STALL
                )
            else:
                await exchange.respond_stream(
                    reply.status, reply.headers, _pieces(part), length=part.count
                )
        finally:
            content.close()


async def _pieces(part: Part) -> AsyncIterator[bytes]:
    offset, end = part.offset, part.offset + part.count
    while offset < end:
        count = min(PIECE, end - offset)
        data = await asyncio.to_thread(part.content.read, offset, count)
        if not data:
            raise ClientGone("the content is shorter than was said")
        offset += len(data)
        yield data


def _wanted(rule: Rule | None, place: Place, name: str) -> list[Access]:
    if place is Place.CATALOG:
        return [CATALOG]
    if rule is None or not rule.actions:
        return []
    return [Access.repository(name, *rule.actions)]


def _tame(host: str) -> str:
    """Return a host that a client names, as long as it can be one."""
    plain = host.replace("-", "").replace(".", "").replace(":", "").strip("[]")
    return host if plain.isalnum() and plain.isascii() and len(host) <= 255 else "localhost"


def _problem(
    status: HTTPStatus,
    code: str,
    message: str,
    detail: Any = None,
    headers: list[tuple[str, str]] | None = None,
) -> Reply:
    """Answer with the protocol's document for failures."""
    error: dict[str, Any] = {"code": code, "message": message}
    if detail is not None:
        error["detail"] = detail
    body = strictjson.encode({"errors": [error]})
    return Reply(status, [("Content-Type", "application/json"), *(headers or [])], body)
