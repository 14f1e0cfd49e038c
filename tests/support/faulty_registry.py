"""A registry in this process that does what a test says: mostly well, sometimes badly.

    with FaultyRegistry() as registry:
        registry.add("a/b", "1", [layer])
        registry.when("GET", "/blobs/", cut(100), times=1)      # the first blob breaks off

It notes every request. What a rule gives is an Answer, or None to behave well after all.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.engine import PATIENCE
from tests.support.images import config, descriptor, manifest, sha256

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass
class Request:
    """What arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Answer:
    """What goes back; `cut` bytes of the body and then a reset, or a pause before the rest."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    pause_after: int | None = None
    chunked: bool = False


Rule = Callable[[Request], Answer | None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    registry: FaultyRegistry

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients leave in the middle, as the tests want them to


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_expect_100(self) -> bool:
        return True

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        headers = {k.lower(): v for k, v in self.headers.items()}
        body = self._body(headers)
        asked = Request(self.command, parts.path, parse_qs(parts.query), headers, body)
        answer = self.server.registry.answer(asked)
        self._send(answer)

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(headers.get("content-length", 0)))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.cut is not None:
            self.wfile.write(answer.body[: answer.cut])
            self.wfile.flush()
            self._reset()
            return
        if answer.pause_after is not None:
            self.wfile.write(answer.body[: answer.pause_after])
            self.wfile.flush()
            self.server.registry.released.wait(20 * PATIENCE)
            self.close_connection = True
            return
        if answer.chunked:
            for at in range(0, len(answer.body), 1 << 16):
                piece = answer.body[at : at + (1 << 16)]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.wfile.write(answer.body)
        if len(answer.body) != int(answer.headers.get("Content-Length", len(answer.body))):
            self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


for verb in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{verb}", _Handler._serve)


class FaultyRegistry:
    """The registry; `host` is what references call it."""

    def __init__(self, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._server = _Server((address, 0), _Handler)
        self._server.registry = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "https" if tls else "http"
        self.host = f"{address}:{self._server.server_address[1]}"
        self.origin = f"{self.scheme}://{self.host}"
        self.seen: list[Request] = []
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self._numbers = itertools.count()
        self.places: set[tuple[str, str]] = set()
        self.released = threading.Event()
        self._rules: list[tuple[str, re.Pattern[str], Rule, list[float]]] = []
        self._guard: Rule = lambda _: None
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> FaultyRegistry:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    # what it has

    def add(self, repository: str, tag: str, layers: Sequence[bytes], **members: Any) -> str:
        """Have an image of uncompressed layers, stored with gzip; return its digest."""
        packed = [gzip.compress(layer, 1, mtime=0) for layer in layers]
        document = config(layers, **members)
        return self.add_documents(repository, tag, document, packed)

    def add_documents(
        self, repository: str, tag: str, document: bytes, stored: Sequence[bytes], **members: Any
    ) -> str:
        """Have an image of this configuration and these layers as they are."""
        for data in (document, *stored):
            self.add_blob(repository, data)
        return self.add_manifest(repository, tag, MANIFEST, manifest(document, stored, **members))

    def add_blob(self, repository: str, data: bytes) -> str:
        self.blobs[sha256(data)] = data
        self.places.add((repository, sha256(data)))
        return sha256(data)

    def add_manifest(self, repository: str, tag: str, kind: str, data: bytes) -> str:
        for name in (tag, sha256(data)):
            self.manifests[repository, name] = (kind, data)
        return sha256(data)

    def add_index(self, repository: str, tag: str, images: dict[str, str]) -> str:
        """Have an index of images that are here, by platform."""
        listed = []
        for platform, digest in images.items():
            system, _, architecture = platform.partition("/")
            kind, data = self.manifests[repository, digest]
            about = descriptor(data, kind)
            listed.append({**about, "platform": {"os": system, "architecture": architecture}})
        data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
        return self.add_manifest(repository, tag, INDEX, data)

    # what it does

    def when(self, method: str, pattern: str, rule: Rule | Answer, times: float = 1e9) -> None:
        """Answer such requests by a rule, so many times; the first rule that fits counts."""
        made = rule if callable(rule) else lambda _: rule
        self._rules.append((method, re.compile(pattern), made, [times]))

    def asked(self, method: str, pattern: str) -> list[Request]:
        """Return the requests of a kind that arrived."""
        with self._turn:
            return [r for r in self.seen if r.method == method and re.search(pattern, r.path)]

    def answer(self, asked: Request) -> Answer:
        with self._turn:
            self.seen.append(asked)
            rules = [self._guard, *self._fitting(asked)]
        for rule in rules:
            if (answer := rule(asked)) is not None:
                return answer
        return self._well(asked)

    def _fitting(self, asked: Request) -> Iterator[Rule]:
        for method, pattern, rule, left in self._rules:
            if method in (asked.method, "*") and pattern.search(asked.path) and left[0] > 0:
                left[0] -= 1
                yield rule
                return

    def _well(self, asked: Request) -> Answer:
        """Behave as a registry should."""
        if asked.path == "/v2/":
            return Answer(body=b"{}")
        if found := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", asked.path):
            return self._manifest(asked, found[1], found[2])
        if found := re.fullmatch(r"/v2/(.+)/blobs/uploads/([^/]*)", asked.path):
            return self._upload(asked, found[1], found[2])
        if found := re.fullmatch(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})", asked.path):
            return self._blob(asked, found[1], found[2])
        if found := re.fullmatch(r"/v2/(.+)/tags/list", asked.path):
            tags = [t for r, t in self.manifests if r == found[1] and ":" not in t]
            return Answer(body=json.dumps({"name": found[1], "tags": sorted(tags)}).encode())
        return missing("NAME_UNKNOWN")

    def _manifest(self, asked: Request, repository: str, name: str) -> Answer:
        if asked.method == "PUT":
            kind = asked.headers.get("content-type", "")
            digest = self.add_manifest(repository, name, kind, asked.body)
            return Answer(201, {"Docker-Content-Digest": digest})
        known = self.manifests.get((repository, name))
        if known is None:
            return missing("MANIFEST_UNKNOWN")
        kind, data = known
        return Answer(200, {"Content-Type": kind, "Docker-Content-Digest": sha256(data)}, data)

    def _blob(self, asked: Request, repository: str, digest: str) -> Answer:
        data = self.blobs.get(digest)
        if data is None or (repository, digest) not in self.places:
            return missing("BLOB_UNKNOWN")
        if said := asked.headers.get("range"):
            start = int(said.removeprefix("bytes=").rstrip("-"))
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            return Answer(206, {"Content-Range": span}, data[start:])
        return Answer(200, {"Content-Type": "application/octet-stream"}, data)

    def _upload(self, asked: Request, repository: str, id: str) -> Answer:
        if asked.method == "POST":
            mounted = asked.query.get("mount", [""])[0]
            if (asked.query.get("from", [""])[0], mounted) in self.places:
                self.places.add((repository, mounted))
                return Answer(201, {"Location": f"/v2/{repository}/blobs/{mounted}"})
            id = str(next(self._numbers))
            self.uploads[id] = bytearray()
            return Answer(202, {"Location": f"/v2/{repository}/blobs/uploads/{id}", "Range": "0-0"})
        kept = self.uploads.get(id)
        if kept is None:
            return missing("BLOB_UPLOAD_UNKNOWN")
        where = {"Location": f"/v2/{repository}/blobs/uploads/{id}"}
        if asked.method == "DELETE":
            del self.uploads[id]
            return Answer(204)
        if asked.method in ("PATCH", "PUT"):
            said = asked.headers.get("content-range")
            if said and int(said.partition("-")[0]) != len(kept):
                return Answer(416)
            kept += asked.body
        if asked.method == "PUT":
            digest = asked.query["digest"][0]
            if "sha256:" + hashlib.sha256(kept).hexdigest() != digest:
                return refused(400, "DIGEST_INVALID", "provided digest did not match")
            del self.uploads[id]
            self.add_blob(repository, bytes(kept))
            return Answer(201, {"Location": f"/v2/{repository}/blobs/{digest}"})
        status = 202 if asked.method == "PATCH" else 204
        return Answer(status, {**where, "Range": f"0-{max(0, len(kept) - 1)}"})

    # logging in

    def want_token(
        self,
        realm: str,
        good: Callable[[str], bool] = lambda authorization: authorization == "Bearer good",
    ) -> None:
        """Ask for a token from `realm` before anything else."""

        def guard(asked: Request) -> Answer | None:
            authorization = asked.headers.get("authorization", "")
            if not asked.path.startswith("/v2/") or good(authorization):
                return None
            said = f'Bearer realm="{realm}",service="test",scope="repository:a/b:pull"'
            return refused(401, "UNAUTHORIZED", "authentication required", said)

        self._guard = guard

    def want_password(self, basic: str) -> None:
        """Ask for a password before anything else."""

        def guard(asked: Request) -> Answer | None:
            if asked.headers.get("authorization") == basic:
                return None
            return refused(401, "UNAUTHORIZED", "authentication required", 'Basic realm="test"')

        self._guard = guard

    def give_tokens(self, token: str = "good", **members: Any) -> None:
        """Be a token server, at /token."""
        document = json.dumps({"token": token, "expires_in": 300, **members}).encode()
        self.when("*", "^/token$", Answer(body=document))


def missing(code: str) -> Answer:
    return refused(404, code, code.lower().replace("_", " "))


def refused(status: int, code: str, message: str, challenge: str = "") -> Answer:
    headers = {"Content-Type": "application/json"}
    if challenge:
        headers["WWW-Authenticate"] = challenge
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Answer(status, headers, body)


def wait_until(condition: Callable[[], bool], seconds: float = 10 * PATIENCE) -> None:
    """Return when something is so; fail when it does not become so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@contextlib.contextmanager
def two() -> Iterator[tuple[FaultyRegistry, FaultyRegistry]]:
    """A registry, and another host that should learn nothing of its users."""
    with FaultyRegistry() as own, FaultyRegistry("127.0.0.2") as other:
        yield own, other
