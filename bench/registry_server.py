"""Our registry beside Debian's docker-registry: `python -m bench.registry_server [--skopeo]`.

Both keep their images on one ext4 of their own; the client is plain sockets in this process.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.__main__ import fresh_filesystem
from bench.measure import Row, stopwatch, table

REFERENCE = "/usr/bin/docker-registry"
CHECKOUT = Path(__file__).parents[1]
LARGE = 100 << 20
CONNECTIONS = 4
SECONDS = 2.0
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass
class Server:
    """One registry on a port of its own."""

    name: str
    folder: Path
    port: int
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    known: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        self.folder.mkdir()
        config = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.folder / "root")},
                "cache": {"blobdescriptor": "inmemory"},
            },
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        (self.folder / "config.yml").write_text(json.dumps(config))
        self.process = subprocess.Popen(
            [*self.command, str(self.folder / "config.yml")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": f"{CHECKOUT}/src"},
        )
        while True:
            with contextlib.suppress(OSError):
                self.connect().close()
                return
            time.sleep(0.05)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait()

    def connect(self) -> Connection:
        return Connection(self.port)


class Connection:
    """HTTP as little as will do: one request after the other, answers with a length."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(1 << 20)

    def close(self) -> None:
        self._socket.close()

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        """Send a request; read the answer away; return its status and head."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        length = f"Content-Length: {len(body)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\n{lines}{length}\r\n".encode()
        self._socket.sendall(head)
        if body:
            self._socket.sendall(body)
        return self._answer(method)

    def _answer(self, method: str) -> tuple[int, str]:
        seen = b""
        while b"\r\n\r\n" not in seen:
            piece = self._socket.recv(65536)
            if not piece:
                raise ConnectionError("closed")
            seen += piece
        head, _, rest = seen.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        found = re.search(r"\r\ncontent-length: (\d+)", text, re.IGNORECASE)
        left = int(found[1]) - len(rest) if found and method != "HEAD" else 0
        while left > 0:
            left -= self._socket.recv_into(self._buffer, min(left, len(self._buffer)))
        return int(text[9:12]), text


def push(connection: Connection, name: str, data: bytes) -> str:
    """Push a blob as docker does; return its digest."""
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    status, head = connection.ask("POST", f"/v2/{name}/blobs/uploads/")
    place = location(head)
    status, head = connection.ask("PATCH", place, data, Content_Type="application/octet-stream")
    assert status == 202, head
    place = location(head)
    mark = "&" if "?" in place else "?"
    status, head = connection.ask("PUT", f"{place}{mark}digest={digest}")
    assert status == 201, head
    return digest


def location(head: str) -> str:
    found = re.search(r"\r\nlocation: (\S+)", head, re.IGNORECASE)
    assert found, head
    return re.sub(r"^https?://[^/]*", "", found[1])


def prepare(server: Server) -> None:
    """Have a manifest and a large blob to read."""
    connection = server.connect()
    config = push(connection, "bench/app", b"{}")
    server.known["blob"] = push(connection, "bench/app", os.urandom(LARGE))
    layer = push(connection, "bench/app", b"layer")
    kind = "application/vnd.docker.container.image.v1+json"
    document = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": kind, "digest": config, "size": 2},
            "layers": [{"mediaType": f"{kind}.layer", "digest": layer, "size": 5}] * 8,
        }
    ).encode()
    path = "/v2/bench/app/manifests/latest"
    status, head = connection.ask("PUT", path, document, Content_Type=MANIFEST)
    assert status == 201, head
    connection.close()


def rate(method: str, path: Callable[[Server], str]) -> Callable[[Server], float]:
    """Return what counts requests a second, over some connections that are kept."""

    def work(server: Server) -> float:
        counts = [0] * CONNECTIONS
        end = time.perf_counter() + SECONDS

        def ask(number: int) -> None:
            connection = server.connect()
            while time.perf_counter() < end:
                status, head = connection.ask(method, path(server), Accept=MANIFEST)
                assert status == 200, head
                counts[number] += 1
            connection.close()

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / SECONDS

    return work


def read_large(server: Server) -> float:
    connection = server.connect()
    with stopwatch() as seconds:
        status, _ = connection.ask("GET", f"/v2/bench/app/blobs/{server.known['blob']}")
        taken = seconds()
    assert status == 200
    connection.close()
    return LARGE / taken / 1e6


def write_large(server: Server) -> float:
    data = os.urandom(LARGE)
    connection = server.connect()
    with stopwatch() as seconds:
        push(connection, "bench/large", data)
        taken = seconds()
    connection.close()
    return LARGE / taken / 1e6


def write_small(server: Server) -> float:
    connection = server.connect()
    with stopwatch() as seconds:
        for _ in range(50):
            push(connection, "bench/small", os.urandom(1000))
        taken = seconds()
    connection.close()
    return taken / 50 * 1e3


def make_image(folder: Path) -> Path:
    """Write an OCI layout of 500 MB in 8 layers."""
    layout = folder / "image"
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)

    def keep(data: bytes) -> tuple[str, int]:
        digits = hashlib.sha256(data).hexdigest()
        (blobs / digits).write_bytes(data)
        return f"sha256:{digits}", len(data)

    kind = "application/vnd.oci.image"
    layers, diffs = [], []
    for number in range(8):
        path = folder / "layer.tar"
        with tarfile.open(path, "w") as tar:
            content = folder / f"file{number}"
            content.write_bytes(os.urandom(62 << 20))
            tar.add(content, content.name)
            content.unlink()
        digest, size = keep(path.read_bytes())
        diffs.append(digest)
        layers.append({"mediaType": f"{kind}.layer.v1.tar", "digest": digest, "size": size})
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}
    config["rootfs"] = {"type": "layers", "diff_ids": diffs}
    digest, size = keep(json.dumps(config).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json", "digest": digest, "size": size},
        "layers": layers,
    }
    digest, size = keep(json.dumps(manifest).encode())
    listed = {"mediaType": f"{kind}.manifest.v1+json", "digest": digest, "size": size}
    listed["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [listed]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return layout


def skopeo_rows(folder: Path) -> Iterator[Row]:
    layout = make_image(folder)
    pushed: dict[str, int] = {}

    def copy(*words: str) -> float:
        with stopwatch() as seconds:
            subprocess.run(["skopeo", "copy", "-q", "--preserve-digests", *words], check=True)
            return seconds()

    def push_image(server: Server) -> float:
        # A new server each time: nothing may be there already.
        server.stop()
        shutil.rmtree(server.folder)
        server.start()
        pushed[server.name] = pushed.get(server.name, 0) + 1
        there = f"docker://127.0.0.1:{server.port}/image{pushed[server.name]}:latest"
        cache = ("--dest-precompute-digests=false", "--dest-tls-verify=false")
        return copy(*cache, f"oci:{layout}:latest", there)

    def pull_image(server: Server) -> float:
        target = tempfile.mkdtemp(dir=folder)
        there = f"docker://127.0.0.1:{server.port}/image{pushed[server.name]}:latest"
        taken = copy("--src-tls-verify=false", there, f"dir:{target}")
        shutil.rmtree(target)
        return taken

    yield Row("skopeo push of 500 MB, 8 layers", "s", push_image, 3)  # type: ignore[arg-type]
    yield Row("skopeo pull of it", "s", pull_image, 3)  # type: ignore[arg-type]


def rows(folder: Path, *, skopeo: bool) -> Iterator[Row]:
    tag = rate("GET", lambda server: "/v2/bench/app/manifests/latest")
    head = rate("HEAD", lambda server: f"/v2/bench/app/blobs/{server.known['blob']}")
    works: list[tuple[str, str, Callable[[Server], float], bool]] = [
        ("manifest GET by tag, 4 connections", "1/s", tag, True),
        ("blob HEAD, 4 connections", "1/s", head, True),
        ("blob GET, 100 MB", "MB/s", read_large, True),
        ("blob push, 100 MB", "MB/s", write_large, True),
        ("blob push, 1 kB, three requests", "ms", write_small, False),
    ]
    for name, unit, work, more in works:
        yield Row(name, unit, work, 5, more_is_better=more)  # type: ignore[arg-type]
    if skopeo:
        yield from skopeo_rows(folder)


def main() -> int:
    options = argparse.ArgumentParser(prog="bench.registry_server", description=__doc__)
    options.add_argument("--skopeo", action="store_true", help="round trips of skopeo too")
    asked = options.parse_args()
    ours = [sys.executable, "-m", "boxship.registry", "serve"]
    with fresh_filesystem() as folder, contextlib.ExitStack() as undo:
        servers = [
            Server("boxship", folder / "ours", 15871, ours),
            Server("docker-registry", folder / "theirs", 15872, [REFERENCE, "serve"]),
        ]
        for server in servers:
            server.start()
            undo.callback(server.stop)
            prepare(server)
        done: list[Row] = []
        for row in rows(folder, skopeo=asked.skopeo):
            row.take(servers)  # type: ignore[arg-type]
            done.append(row)
    print(table(done, "boxship", "docker-registry"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
