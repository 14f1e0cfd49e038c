"""A request as a route sees it, and what a route answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from boxship.lib import strictjson
from boxship.registry.auth.access import Identity
from boxship.registry.events import Source
from boxship.registry.http.target import Target
from boxship.registry.names import Name
from boxship.registry.parts import Flow, Part
from boxship.transport.exchange import Exchange

JSON = "application/json"


@dataclass(slots=True)
class Call:
    """One request that has been let in."""

    exchange: Exchange
    target: Target
    identity: Identity
    name: Name  # of the repository; "" where the path has none
    root: str  # what the Locations in answers begin with
    source: Source  # who asks, as events tell it

    @property
    def headers(self) -> Mapping[str, str]:
        return self.exchange.head.headers

    @property
    def method(self) -> str:
        return self.exchange.head.method


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer."""

    status: HTTPStatus
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | Part | Flow = b""


def reply_json(document: Any, headers: list[tuple[str, str]] | None = None) -> Reply:
    """Answer with a document."""
    headers = [("Content-Type", JSON), *(headers or [])]
    return Reply(HTTPStatus.OK, headers, strictjson.encode(document))
