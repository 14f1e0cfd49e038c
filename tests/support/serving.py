"""Routes served on a real socket in this process, and a client that hides nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from boxship.api.app import Api, common_headers
from boxship.transport.server import Server
from tests.support.engine import PATIENCE


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.document["message"])


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=20 * PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20 * PATIENCE)
        self.sock.connect(self._path)


class Served:
    """A server that runs in a thread, on a unix socket."""

    def __init__(self, path: str, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.path = path
        self.server = server
        self.loop = loop

    def connect(self) -> socket.socket:
        """Return a raw connection."""
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(20 * PATIENCE)
        made.connect(self.path)
        return made

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; a body that is not bytes goes as JSON."""
        sent = dict(headers or {})
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = _Unix(self.path)
        try:
            connection.request(method, path, data, sent)  # type: ignore[arg-type]
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: object = None) -> Answer:
        return self.request("POST", path, body)

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run something on the server's loop and return its result."""

        async def wait() -> Any:
            return await work()

        return asyncio.run_coroutine_threadsafe(wait(), self.loop).result(20 * PATIENCE)


@contextmanager
def serving(
    folder: Path,
    modules: list[ModuleType],
    parts: Mapping[type, object] | None = None,
    **options: Any,
) -> Iterator[Served]:
    """Serve the routes of `modules` with these parts, by the type that routes ask for."""
    path = str(folder / "s")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = Server(Api(modules, parts or {}, **options).answer, common_headers())
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    asyncio.run_coroutine_threadsafe(server.listen(sock), loop).result(5 * PATIENCE)
    try:
        yield Served(path, server, loop)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(1), loop).result(10 * PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5 * PATIENCE)
        loop.close()
