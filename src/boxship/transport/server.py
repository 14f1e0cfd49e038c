"""An HTTP server on any number of sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Final

from boxship.transport.connection import Connection, Handler
from boxship.transport.tls import Encrypted
from boxship.transport.upgrade import Upgraded
from boxship.wire import http

log = logging.getLogger(__name__)

BACKLOG: Final = 1024
DATE: Final = "Date: %a, %d %b %Y %H:%M:%S GMT\r\n"  # in English: nobody sets a locale here
NO_HTTP2: Final = "HTTP/2 is not spoken here; use HTTP/1.1"

Http2 = Callable[[Upgraded], Awaitable[None]]


class Server:
    """Accepts connections and hands each request to `handler`, in a task of its own."""

    def __init__(
        self,
        handler: Handler,
        headers: bytes = b"",
        *,
        most: int = 16384,
        http2: Http2 | None = None,
    ) -> None:
        """`http2` serves connections that begin with HTTP/2's preface, until they end."""
        self.handler = handler
        self._http2 = http2
        self._fixed = headers
        self._common = b""
        self._second = 0
        self._most = most
        self._connections: dict[Connection, None] = {}  # oldest first
        self._servers: list[asyncio.Server] = []
        self._kept: set[asyncio.Task[None]] = set()  # handlers of upgraded connections

    async def listen(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Serve on a bound socket, from now on."""
        loop = asyncio.get_running_loop()

        def connect() -> Connection:
            return Connection(self, loop)

        def accept() -> asyncio.Protocol:
            return connect() if tls is None else Encrypted(tls, connect)

        if sock.family == socket.AF_UNIX:
            server = await loop.create_unix_server(accept, sock=sock, backlog=BACKLOG)
        else:
            server = await loop.create_server(accept, sock=sock, backlog=BACKLOG)
        self._servers.append(server)

    async def stop(self, grace: float) -> None:
        """Accept nothing more; give what is being answered `grace` seconds, then end it."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.close_when_idle()
        if working := self._working():
            await asyncio.wait(working, timeout=grace)
        left = self._working()
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=grace)
        for connection in list(self._connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def _working(self) -> list[asyncio.Task[None]]:
        working = [task for made in self._connections if (task := made.work) is not None]
        return [*working, *self._kept]

    # What connections call

    def common_headers(self) -> bytes:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._common = self._fixed + time.strftime(DATE, time.gmtime(now)).encode()
        return self._common

    def opened(self, connection: Connection) -> None:
        self._connections[connection] = None
        if len(self._connections) > self._most:
            self._drop_idle()

    def closed(self, connection: Connection) -> None:
        self._connections.pop(connection, None)

    def keep(self, task: asyncio.Task[None]) -> None:
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)

    def _drop_idle(self) -> None:
        """Close the oldest connection that waits for nothing, to make room."""
        for connection in self._connections:
            if connection.idle:
                self._connections.pop(connection)
                with contextlib.suppress(RuntimeError):
                    connection.transport.abort()
                return

    def speak_http2(self, connection: Connection, received: bytes) -> None:
        """Hand over a connection that began with HTTP/2's preface, or say that nobody speaks it."""
        if self._http2 is None:
            connection.transport.write(http.refuse_http2(NO_HTTP2))
            connection.transport.close()
            return
        serving = self._http2(Upgraded(connection.transport, received))
        self.closed(connection)
        self.keep(asyncio.ensure_future(serving))
