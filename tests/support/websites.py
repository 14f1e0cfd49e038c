"""Web servers on loopback: pages that a test chooses, and repositories by git's own program."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import pytest

GIT_BACKEND = Path("/usr/lib/git-core/git-http-backend")


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Page:
    """One answer."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def moved(url: str) -> Page:
    return Page(status=302, headers={"Location": url})


@dataclass
class Site:
    """A server: its URL, what it was asked, and what it answers."""

    answer: Callable[[Asked], Page]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """What it was asked for, without queries."""
        return [urlsplit(one.path).path for one in self.asked]


@contextlib.contextmanager
def site(answer: Callable[[Asked], Page]) -> Iterator[Site]:
    """Serve on a port of loopback."""
    made = Site(answer)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, self.path, self.headers, body)
            made.asked.append(asked)
            page = made.answer(asked)
            self.send_response(page.status)
            for name, value in {"Content-Length": str(len(page.body)), **page.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(page.body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def repositories(folder: Path) -> Callable[[Asked], Page]:
    """Answer as git's own server does, with the repositories beneath a folder."""
    if not GIT_BACKEND.exists():
        pytest.skip("git http-backend is not installed")

    def answer(asked: Asked) -> Page:
        parts = urlsplit(asked.path)
        packed = asked.headers.get("Content-Encoding") == "gzip"
        body = gzip.decompress(asked.body) if packed else asked.body
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_CONFIG_KEY_1": "uploadpack.allowAnySHA1InWant",
            "GIT_CONFIG_VALUE_1": "true",
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": asked.method,
            "CONTENT_TYPE": asked.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": asked.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            [GIT_BACKEND], input=body, capture_output=True, env=environment, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        status = int(headers.pop("Status", "200").split()[0])
        return Page(content, status, headers)

    return answer
