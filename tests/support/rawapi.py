"""A client that asks for exactly what it is told, and shows what came."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from tests.support.engine import Engine


class Api:
    """Requests on one connection."""

    def __init__(self, engine: Engine) -> None:
        self._connection = http.client.HTTPConnection("docker", timeout=60)
        self._connection.sock = socket.socket(socket.AF_UNIX)
        self._connection.sock.settimeout(60)
        self._connection.sock.connect(engine.socket)

    def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> tuple[int, Any]:
        """Return the status and what came with it: a document, or bytes that are none."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Content-Type": kind or "application/json"} if data is not None else {}
        self._connection.request(method, path, data, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def status(self, method: str, path: str, body: Any = None, kind: str = "") -> int:
        return self.ask(method, path, body, kind)[0]

    def close(self) -> None:
        self._connection.close()
