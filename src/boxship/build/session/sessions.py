"""Who is connected: clients come before their builds or a moment after, and are found by ID."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from boxship.build.needs import ClientSession
from boxship.build.session.client import Client
from boxship.build.session.errors import BadSession, NoSession
from boxship.transport.http2 import Http2

UUID: Final = "x-docker-expose-session-uuid"
NAME: Final = "x-docker-expose-session-name"
SHARED_KEY: Final = "x-docker-expose-session-sharedkey"
METHOD: Final = "x-docker-expose-session-grpc-method"

WAIT: Final = 5.0  # seconds for a client that is about to connect
LONGEST: Final = 256
MOST: Final = 1024


class Carrier(Protocol):
    """A connection that can be handed to another protocol."""

    def adopt(self, protocol: asyncio.Protocol) -> None:
        """Let `protocol` speak on the connection from now on."""


class Sessions:
    """The connected clients; fulfils build.needs.Sessions."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._waiting: dict[str, list[asyncio.Future[Client]]] = {}

    async def __call__(self, ids: Sequence[str]) -> Sequence[ClientSession]:
        return [await self.find(id) for id in ids if id]

    async def find(self, id: str, wait: float = WAIT) -> Client:
        """Return a client, waiting a little for it; NoSession when it does not come."""
        if id in self._clients:
            return self._clients[id]
        coming: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(id, []).append(coming)
        try:
            async with asyncio.timeout(wait):
                return await coming
        except TimeoutError:
            raise NoSession(id) from None
        finally:
            self._waiting[id].remove(coming)
            if not self._waiting[id]:
                del self._waiting[id]

    async def serve(self, carrier: Carrier, headers: Mapping[str, Sequence[str]]) -> None:
        """Keep a client for as long as it is connected; `headers` are those it came with."""
        id = checked_id(headers)
        if id in self._clients:
            raise BadSession(f"session {id} already exists")
        if len(self._clients) >= MOST:
            raise BadSession("too many clients of builds are connected")
        connection = Http2()
        carrier.adopt(connection)
        client = Client(
            connection,
            id=id,
            name=_first(headers, NAME),
            shared_key=_first(headers, SHARED_KEY),
            methods=headers.get(METHOD, ()),
        )
        self._clients[id] = client
        for coming in self._waiting.get(id, ()):
            if not coming.done():
                coming.set_result(client)
        try:
            await client.watch()
        finally:
            del self._clients[id]
            connection.close()


def checked_id(headers: Mapping[str, Sequence[str]]) -> str:
    """Return the ID that a client has given itself; BadSession when it has given none."""
    id = _first(headers, UUID)
    if not id or len(id) > LONGEST or not id.isprintable():
        raise BadSession("a session needs an ID")
    return id


def _first(headers: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(headers.get(name, ())), "")
