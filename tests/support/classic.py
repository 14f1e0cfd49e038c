"""Builds by hand through the classic door: archives, requests, answers."""

from __future__ import annotations

import http.client
import http.server
import io
import json
import socket
import tarfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tests.support.engine import PATIENCE, Engine

FROM = "FROM busybox\n"


def archive(files: Mapping[str, str | bytes], **more: tarfile.TarInfo) -> bytes:
    """Return a tar of the files, and of further entries as they are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for entry in more.values():
            tar.addfile(entry)
    return out.getvalue()


class Answer:
    """What a build answered: its status, and its messages."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.messages: list[dict[str, Any]] = [json.loads(line) for line in body.splitlines()]

    @property
    def text(self) -> str:
        return "".join(message.get("stream", "") for message in self.messages)

    @property
    def error(self) -> dict[str, Any] | None:
        found = [m["errorDetail"] for m in self.messages if "errorDetail" in m]
        return found[-1] if found else None

    @property
    def image(self) -> str:
        found = [m["aux"]["ID"] for m in self.messages if "aux" in m]
        assert found, self.messages
        return str(found[-1])


def post(engine: Engine, body: bytes, path: str = "/build", **query: object) -> Answer:
    connection = http.client.HTTPConnection("localhost", timeout=60 * PATIENCE)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(engine.socket)
    query.setdefault("networkmode", "none")
    pairs = [(k, v) for k, v in query.items() if not isinstance(v, list)]
    pairs += [(k, one) for k, v in query.items() if isinstance(v, list) for one in v]
    connection.request(
        "POST", f"/v1.44{path}?{urlencode(pairs)}", body, {"Content-Type": "application/x-tar"}
    )
    answer = connection.getresponse()
    found = Answer(answer.status, answer.read())
    connection.close()
    return found


def build(
    engine: Engine, text: str, files: Mapping[str, str | bytes] | None = None, /, **query: object
) -> Answer:
    return post(engine, archive({"Dockerfile": text, **(files or {})}), **query)


def shown(engine: Engine, image: str, *command: str) -> str:
    return engine.docker("run", "--rm", "--network", "none", image, *command).stdout
