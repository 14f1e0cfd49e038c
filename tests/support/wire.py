"""One connection to an engine's socket, for requests as they stand on the wire."""

from __future__ import annotations

import http.client
import json
import socket

from tests.support.engine import PATIENCE, Engine


class Wire(http.client.HTTPConnection):
    """It needs no further descriptor once it stands."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("localhost", timeout=180 * PATIENCE)
        self._path = engine.socket

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        """Return the status, and the answer: an object where it is one, else its bytes."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data.strip().startswith(b"{") else data
