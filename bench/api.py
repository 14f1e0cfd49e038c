"""A bare HTTP client over a unix socket: as little of its own time in the figures as possible."""

from __future__ import annotations

import json
import socket
from typing import Any


class Api:
    """One kept-alive connection to an engine."""

    def __init__(self, path: str, version: str = "v1.41") -> None:
        self._path = path
        self._prefix = f"/{version}"
        self._socket = self._connect()
        self._rest = b""

    def _connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(120)
        made.connect(self._path)
        return made

    def head(self, method: str, path: str, body: bytes, extra: str = "") -> bytes:
        kind = "Content-Type: application/json\r\n" if body else ""
        return (
            f"{method} {self._prefix}{path} HTTP/1.1\r\nHost: bench\r\n{kind}{extra}"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def call(self, method: str, path: str, document: object = None) -> Any:
        """Send one request and return its decoded answer; a failure is a RuntimeError."""
        body = b"" if document is None else json.dumps(document).encode()
        self._socket.sendall(self.head(method, path, body))
        status, answer = self._answer()
        if status >= 400:
            raise RuntimeError(f"{method} {path}: {status} {answer!r}")
        return json.loads(answer) if answer[:1] in (b"{", b"[") else answer

    def _more(self) -> None:
        data = self._socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the engine closed the connection")
        self._rest += data

    def _answer(self) -> tuple[int, bytes]:
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, self._rest = self._rest.split(b"\r\n\r\n", 1)
        status = int(head.split(b" ", 2)[1])
        lower = head.lower()
        if status in (204, 304):
            return status, b""
        if b"transfer-encoding: chunked" in lower:
            return status, self._chunks()
        length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(self._rest) < length:
            self._more()
        body, self._rest = self._rest[:length], self._rest[length:]
        return status, body

    def _chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._rest:
                self._more()
            size_line, self._rest = self._rest.split(b"\r\n", 1)
            size = int(size_line, 16)
            while len(self._rest) < size + 2:
                self._more()
            body += self._rest[:size]
            self._rest = self._rest[size + 2 :]
            if not size:
                return body

    def upgrade(self, path: str, document: object = None) -> tuple[socket.socket, bytes]:
        """Send a request that takes the connection over; return the socket and what came early."""
        taken = self._connect()
        body = b"" if document is None else json.dumps(document).encode()
        taken.sendall(self.head("POST", path, body, "Connection: Upgrade\r\nUpgrade: tcp\r\n"))
        data = b""
        while b"\r\n\r\n" not in data:
            more = taken.recv(65536)
            if not more:
                raise RuntimeError(f"{path}: no answer")
            data += more
        head, rest = data.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0] and b" 200 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(f"{path}: {data!r}")
        return taken, rest

    def follow(self, path: str) -> socket.socket:
        """Ask for an answer that does not end; return the socket that it comes through."""
        taken = self._connect()
        taken.sendall(self.head("GET", path, b""))
        return taken

    def close(self) -> None:
        self._socket.close()
