"""Images of any size pass through the engine, and its memory does not grow with them."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import socket
import tarfile
import uuid
from collections.abc import Iterator

import pytest
from tests.support.engine import Engine
from tests.system.conftest import Start, grown, inside, resident

pytestmark = pytest.mark.root
LAYER = 320 << 20
PIECE = 1 << 20
ROOM = 64 << 20  # what one request may make the daemon grow


class Unix(http.client.HTTPConnection):
    """A connection to an engine's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("engine")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    return b"\0" * (-size % 512)


def layer(mark: bytes) -> Iterator[bytes]:
    """A layer of one large file that does not pack well, made as it is read."""
    yield header("large", LAYER)
    block = hashlib.shake_256(mark).digest(PIECE)
    for _ in range(LAYER // PIECE):
        yield block
    yield b"\0" * 1024


def archive(mark: bytes, name: str) -> Iterator[bytes]:
    """What `docker save` writes of such an image, never held whole."""
    digest, size = hashlib.sha256(), 0
    for piece in layer(mark):
        digest.update(piece)
        size += len(piece)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
    }
    documents = {
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(
            [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
        ).encode(),
    }
    for path, data in documents.items():
        yield header(path, len(data)) + data + padding(len(data))
    yield header("layer.tar", size)
    yield from layer(mark)
    yield padding(size) + b"\0" * 1024


def peak(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        (line,) = [line for line in file if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


def forget_peak(pid: int) -> int:
    """Have the kernel count the peak anew; return what is used now."""
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")
    return peak(pid)


def call(engine: Engine, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
    connection = Unix(engine.socket)
    chunked = body is not None
    headers = {"Content-Type": "application/x-tar"} if chunked else {}
    connection.request(method, path, body, headers, encode_chunked=chunked)  # type: ignore[arg-type]
    return connection.getresponse()


def test_a_large_image_is_loaded_and_saved_in_little_memory(engine: Engine) -> None:
    assert engine.process is not None
    pid = engine.process.pid
    name = f"large-{uuid.uuid4().hex[:6]}:1"
    before = forget_peak(pid)
    answer = call(engine, "POST", "/v1.50/images/load?quiet=1", archive(os.urandom(8), name))
    said = answer.read().decode()
    assert (answer.status, f"Loaded image: {name}" in said) == (200, True), said
    assert peak(pid) - before < ROOM
    try:
        before = forget_peak(pid)
        size, answer = 0, call(engine, "GET", f"/v1.50/images/{name}/get")
        while piece := answer.read(PIECE):
            size += len(piece)
        assert size > LAYER
        assert peak(pid) - before < ROOM
    finally:
        engine.boxship("rmi", name)


def test_a_large_document_is_refused_before_it_is_kept(engine: Engine) -> None:
    """SEC-48: a manifest.json of gigabytes was read into memory."""
    assert engine.process is not None
    before = forget_peak(engine.process.pid)

    def bomb() -> Iterator[bytes]:
        yield header("manifest.json", 4 << 30)
        for _ in range(64):
            yield b" " * PIECE

    try:
        answer = call(engine, "POST", "/v1.50/images/load?quiet=1", bomb())
        said = answer.read()
        assert b"errorDetail" in said
        assert b"larger than" in said
    except (BrokenPipeError, ConnectionResetError):
        pass  # the engine hung up while it was still being told
    assert peak(engine.process.pid) - before < ROOM


def test_several_images_share_their_layers_in_one_archive(engine: Engine) -> None:
    engine.docker("tag", "busybox", "shared:1")
    engine.docker("commit", engine.docker("create", "busybox", "true").stdout.strip(), "shared:2")
    try:
        answer = call(engine, "GET", "/v1.50/images/get?names=shared:1&names=shared:2")
        with tarfile.open(fileobj=io.BytesIO(answer.read())) as saved:
            names = saved.getnames()
            listed = json.load(saved.extractfile("manifest.json"))  # type: ignore[arg-type]
        assert len(names) == len(set(names))
        assert listed[0]["Layers"][0] == listed[1]["Layers"][0]
    finally:
        for container in engine.docker("ps", "-aq").stdout.split():
            engine.docker("rm", container)
        engine.docker("rmi", "shared:1", "shared:2")


@pytest.mark.slow
@pytest.mark.parametrize("runs", [True, False], ids=["running", "stopped"])
def test_a_copy_of_more_than_a_gigabyte(engine: Engine, start: Start, runs: bool) -> None:
    """More than what is put aside for a container that does not run; memory stays as it is."""
    size = 1200 << 20
    container = start()
    if not runs:
        container.stop(timeout=0)
    entry = tarfile.TarInfo("large")
    entry.size = size

    def pieces() -> Iterator[bytes]:
        yield entry.tobuf()
        for number in range(size >> 20):
            yield number.to_bytes(4, "big") * (1 << 18)
        yield bytes(1024)

    before = resident(engine)
    assert container.put_archive("/tmp", pieces())
    assert grown(engine, before, 64 << 10) <= 64 << 10
    if not runs:
        container.start()
    last = inside(container, "sh", "-c", "wc -c < /tmp/large; tail -c 4 /tmp/large | od -An -tx1")
    assert last.split() == [str(size), "00", "00", "04", "af"]
    inside(container, "rm", "/tmp/large")
