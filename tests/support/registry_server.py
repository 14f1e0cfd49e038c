"""Our registry as a program on a port of its own, and plain HTTP to it."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.engine import PATIENCE

CHECKOUT = Path(__file__).parents[2]
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"


def digest(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


@dataclass
class Answer:
    """What a server has answered; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The first code of a failure's document."""
        return str(self.json()["errors"][0]["code"])


@dataclass
class RegistryServer:
    """One server, its folder and its log."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens; a port it has had it keeps."""
        document: dict[str, Any] = {"version": 0.1}
        if not {"s3", "inmemory"} & set(self.config.get("storage", ())):
            document["storage"] = {"filesystem": {"rootdirectory": str(self.root)}}
        merge(document, self.config)
        document.setdefault("http", {})["addr"] = f"127.0.0.1:{self.port}"
        (self.folder / "config.yml").write_text(json.dumps(document))
        log = self.folder / "log"
        begin = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "boxship.registry", "serve", self.folder / "config.yml"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environment, "PYTHONPATH": f"{CHECKOUT}/src"},
            )
        deadline = time.monotonic() + 20 * PATIENCE
        while time.monotonic() < deadline:
            said = log.read_bytes()[begin:].decode()
            if found := re.search(r"the registry listens on [^\"]*:(\d+)", said):
                self.port = int(found[1])
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"the registry does not start:\n{said}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20 * PATIENCE)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of the registry's other commands on the same configuration."""
        command, *options = words
        return subprocess.run(
            [
                *(sys.executable, "-m", "boxship.registry", command, *options),
                str(self.folder / "config.yml"),
            ],
            capture_output=True,
            text=True,
            timeout=60 * PATIENCE,
            env={**os.environ, **self.environment, "PYTHONPATH": f"{CHECKOUT}/src"},
        )

    def connect(self) -> http.client.HTTPConnection:
        if self.tls is not None:
            return http.client.HTTPSConnection(
                "localhost", self.port, timeout=30 * PATIENCE, context=self.tls
            )
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30 * PATIENCE)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send one request on a connection of its own. `Content_Type` is sent as Content-Type."""
        connection = self.connect()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    # What tests often do

    def begin(self, name: str, **query: str) -> Answer:
        more = f"?{urlencode(query)}" if query else ""
        return self.ask("POST", f"/v2/{name}/blobs/uploads/{more}")

    def push_blob(self, name: str, data: bytes, algorithm: str = "sha256") -> str:
        begun = self.begin(name)
        assert begun.status == 202
        named = digest(data, algorithm)
        done = self.ask("PUT", with_query(begun.headers["location"], digest=named), data)
        assert done.status == 201, done.body
        return named

    def push_manifest(self, name: str, reference: str, document: Any, kind: str = "") -> Answer:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        media_type = kind or json.loads(data).get("mediaType", OCI_MANIFEST)
        path = f"/v2/{name}/manifests/{reference}"
        return self.ask("PUT", path, data, Content_Type=media_type)

    def push_image(self, name: str, tag: str, content: bytes = b"layer", **more: Any) -> bytes:
        """Push a config, one layer and their manifest; return the manifest."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "n": digest(content)}).encode()
        for data in (config, content):
            self.push_blob(name, data)
        data = json.dumps(manifest(config, [content], **more)).encode()
        answer = self.push_manifest(name, tag, data)
        assert answer.status == 201, answer.body
        return data


def manifest(config: bytes, layers: list[bytes], /, **more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config, OCI_CONFIG),
        "layers": [descriptor(layer, OCI_LAYER) for layer in layers],
        **more,
    }


def index(*manifests: bytes, **more: Any) -> dict[str, Any]:
    listed = [descriptor(one, OCI_MANIFEST) for one in manifests]
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed, **more}


def descriptor(data: bytes, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}


def with_query(location: str, **query: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}{urlencode(query)}"


def merge(document: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(document.get(key), dict):
            merge(document[key], value)
        else:
            document[key] = value


@contextmanager
def registry_server(folder: Path, **config: Any) -> Iterator[RegistryServer]:
    """Serve from a folder until the block ends."""
    made = RegistryServer(folder, config)
    made.start()
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.stop()
