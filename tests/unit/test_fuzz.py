"""Nearly right input for the parsers of what comes from outside: read, or refused in our words.

R5.1. A crash is any exception that is not one of our own. Each parser's own tests have examples of
theirs; Dockerfiles, `.dockerignore`, references, credentials, netlink, the shim's protocol and HCL
are fuzzed there (`grep -rl hypothesis tests/unit`).
"""

from __future__ import annotations

import asyncio
import bz2
import contextlib
import gzip
import hashlib
import json
import lzma
import shutil
import tarfile
import tempfile
from pathlib import Path

import h2.config
import h2.connection
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support import images as made
from tests.support.fuzzing import documents, nearly
from tests.support.pipes import MemoryTransport

from boxship.api.query import Filters, Query
from boxship.build import ops
from boxship.build.control import llb, llbwriting
from boxship.build.dockerfile import image as built
from boxship.content.store import Blobs
from boxship.errors import BoxshipError
from boxship.image import record
from boxship.lib import compression
from boxship.lib.strictjson import InvalidDocument
from boxship.registry import documents as registry_documents
from boxship.spec.buildkit import solver_pb2
from boxship.spec.buildkit.session_pb2 import Packet, Stat
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor
from boxship.spec.platform import Platform
from boxship.transport.filesync.receive import Receiver, Transferred
from boxship.transport.http2 import Http2, Stream
from boxship.wire import fsutil, grpc, http, tar, websocket

AMD64 = Platform("linux", "amd64")
LAYER = made.archive(("a/b", b"x" * 600, {}), ("l", tarfile.SYMTYPE, {"linkname": "a/b"}))
LONG = made.archive(("n" * 300, b"y", {"pax_headers": {"comment": "z"}}))
CONFIG = made.config([LAYER], config={"Env": ["A=b"], "ExposedPorts": {"80/tcp": {}}})
MANIFEST = made.manifest(CONFIG, [LAYER])
INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": made.OCI + "index.v1+json",
        "manifests": [
            made.descriptor(
                MANIFEST,
                made.OCI + "manifest.v1+json",
                platform={"os": "linux", "architecture": "amd64"},
            )
        ],
    }
).encode()


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    return Blobs(str(tmp_path_factory.mktemp("fuzz") / "blobs"))


@given(nearly(LAYER, LONG), st.integers(1, 700))
def test_archives(data: bytes, size: int) -> None:
    with contextlib.suppress(BoxshipError):
        reader = tar.Reader(data[at : at + size] for at in range(0, len(data), size))
        for _ in reader:
            for _ in reader.content():
                pass


PACKED = (
    gzip.compress(LAYER),
    zstandard.compress(LAYER),
    bz2.compress(LAYER),
    lzma.compress(LAYER),
)


@given(nearly(*PACKED), st.integers(1, 300))
def test_packed_streams(data: bytes, size: int) -> None:
    with contextlib.suppress(BoxshipError):
        for _ in compression.decompress(data[at : at + size] for at in range(0, len(data), size)):
            pass


@given(documents(MANIFEST, INDEX))
def test_manifests_and_indexes(data: bytes) -> None:
    with contextlib.suppress(BoxshipError):
        oci.read_kind(data)
    with contextlib.suppress(BoxshipError):
        registry_documents.read(data, made.OCI + "manifest.v1+json")


@given(documents(CONFIG), st.sampled_from(["config", "manifest", "index"]), st.data())
def test_images_in_the_store(blobs: Blobs, config: bytes, which: str, more: st.DataObject) -> None:
    kinds = {"config": MANIFEST, "manifest": MANIFEST, "index": INDEX}
    data = more.draw(documents(kinds[which])) if which != "config" else b""
    if which == "config":
        data = made.manifest(config, [LAYER])
    with contextlib.suppress(BoxshipError), blobs.lease() as lease:
        for known in (CONFIG, config, MANIFEST, LAYER):
            blobs.put(known, lease)
        kind = oci.read_kind(data)
        digest = blobs.put(data, lease)
        record.read(blobs, Descriptor(media_type=kind, digest=digest, size=len(data)), AMD64)


@given(documents(CONFIG))
def test_configurations_of_base_images(data: bytes) -> None:
    with contextlib.suppress(BoxshipError):
        built.copy(built.decode(data))


FILTERS = (b'{"label":["a=b"],"dangling":{"true":true}}', b'{"until":["24h"]}')


@given(documents(*FILTERS))
def test_filters(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    with contextlib.suppress(BoxshipError):
        found = Filters.parse(text)
        for key, _ in found.items():
            found.flag(key, False)


QUERIES = nearly(b"all=1&filters=%7B%7D&size=-3&n=1").map(lambda data: data.decode("latin-1"))


@given(st.text(max_size=80) | QUERIES)
def test_queries(text: str) -> None:
    with contextlib.suppress(BoxshipError):
        query = Query(text)
        query.integer("n")
        query.flag("all")
        query.filters()


HEADS = (
    b"POST /v1.44/containers/create?name=a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n",
    b"GET http://x:80/_ping HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
)


@given(nearly(*HEADS))
def test_heads_of_http_requests(data: bytes) -> None:
    with contextlib.suppress(http.BadRequest):
        http.body_of(http.parse_head(data))


@given(nearly(b"5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n"), st.integers(1, 9))
def test_chunks(data: bytes, size: int) -> None:
    body, pending = http.ChunkedBody(), bytearray()
    with contextlib.suppress(http.BadRequest):
        for at in range(0, len(data), size):
            pending += data[at : at + size]
            while body.feed(pending):
                pass


@given(nearly(websocket.frame(websocket.Opcode.BINARY, b"x" * 200), b"\x81\x85abcd\0\0\0\0\0"))
def test_websocket_frames(data: bytes) -> None:
    with contextlib.suppress(websocket.ProtocolFault):
        for _ in websocket.Decoder().feed(data):
            pass


def call(kind: str = grpc.CONTENT_TYPE) -> bytes:
    """What a client sends for one call, and for one that it gives up at once."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    headers = grpc.request_headers("/t/Echo", [("dir-name", "ctx")], 5.0)
    client.send_headers(1, headers)
    client.send_data(1, grpc.frame(b"x" * 40), end_stream=True)
    client.ping(b"12345678")
    headers = [(name, kind if name == "content-type" else value) for name, value in headers]
    client.send_headers(3, headers, end_stream=True)
    client.reset_stream(3)
    return client.data_to_send()


CALL = call()


@given(nearly(CALL), st.integers(1, 200))
@example(call("text/plain"), 1000)
@settings(deadline=None)
def test_http2(data: bytes, size: int) -> None:
    async def serve(stream: Stream) -> None:
        while (message := await stream.receive()) is not None:
            await stream.send(message)

    async def run() -> None:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: failures.append(told))
        server = Http2(serve)
        transport = MemoryTransport()
        transport.other = MemoryTransport()
        transport.set_protocol(server)
        server.connection_made(transport)
        for at in range(0, len(data), size):
            if not transport.is_closing():
                server.data_received(data[at : at + size])
                await asyncio.sleep(0)
        server.close()
        transport.lose()
        await server.wait_closed()
        assert not failures

    asyncio.run(run())


@given(nearly(grpc.frame(b"one") + grpc.frame(b"two")), st.integers(1, 9))
def test_grpc_messages(data: bytes, size: int) -> None:
    cut = grpc.Deframer(1000)
    with contextlib.suppress(BoxshipError):
        for at in range(0, len(data), size):
            for _ in cut.feed(data[at : at + size]):
                pass


@given(
    st.dictionaries(
        st.sampled_from(["grpc-status", "grpc-message", "grpc-timeout", "grpc-status-details-bin"]),
        st.lists(st.text(max_size=12), min_size=1, max_size=2).map(tuple),
    )
)
def test_grpc_metadata(metadata: dict[str, tuple[str, ...]]) -> None:
    for read in (grpc.timeout_of, grpc.read_status):
        with contextlib.suppress(BoxshipError):
            read(metadata)


def graph() -> bytes:
    """A definition with operations of several kinds."""
    image = ops.Vertex(
        ops.Source("docker-image://docker.io/library/busybox:latest"), platform=AMD64
    )
    process = ops.Vertex(
        ops.Exec(
            args=("sh",),
            mounts=(
                ops.Bind("/", 0, output=0),
                ops.Cache("/c", "id", ops.Sharing.LOCKED, input=0),
                ops.Tmpfs("/t", 100),
                ops.Secret("/s", "token", 1, 2, 0o440, optional=True),
            ),
        ),
        (ops.Ref(image),),
    )
    copied = ops.Action(ops.Copy("/a", "/b", include=("*",)), 0, 1)
    files = ops.Vertex(ops.Files((copied,)), (ops.Ref(process), ops.Ref(image)))
    merged = ops.Vertex(ops.Merge(), (ops.Ref(files), ops.Ref(image)))
    return llbwriting.write(ops.Ref(merged)).SerializeToString()


GRAPH = graph()
OPERATIONS = list(solver_pb2.Definition.FromString(GRAPH).ops)


@given(nearly(GRAPH))
def test_definitions(data: bytes) -> None:
    try:
        definition = solver_pb2.Definition.FromString(data)
    except Exception:  # protobuf's own, which the door turns into a refusal
        return
    with contextlib.suppress(BoxshipError):
        llb.read(definition)


@given(st.integers(0, len(OPERATIONS) - 2), st.data())
def test_operations_of_definitions(which: int, more: st.DataObject) -> None:
    """One operation is changed, and what stands on it points to it again."""
    changed = more.draw(nearly(OPERATIONS[which]))
    names = {}
    definition = solver_pb2.Definition()
    for at, data in enumerate(OPERATIONS):
        new = changed if at == which else data
        if at != which:
            op = solver_pb2.Op.FromString(data)
            for one in op.inputs:
                one.digest = names.get(one.digest, one.digest)
            new = op.SerializeToString()
        before = "sha256:" + hashlib.sha256(data).hexdigest()
        names[before] = "sha256:" + hashlib.sha256(new).hexdigest()
        definition.ops.append(new)
    with contextlib.suppress(BoxshipError):
        llb.read(definition)


def packets() -> list[bytes]:
    """A small tree, as a client sends it."""
    said = [
        Stat(path=b"a", mode=fsutil.DIR | 0o755),
        Stat(path=b"a/f", mode=0o644, size=3, xattrs={"user.x": b"1"}),
        Stat(path=b"l", mode=fsutil.SYMLINK | 0o777, linkname=b"a/f"),
    ]
    sent = [Packet(type=fsutil.Kind.STAT, stat=one) for one in said]
    sent += [Packet(), Packet(type=fsutil.Kind.DATA, id=1, data=b"abc")]
    sent += [Packet(type=fsutil.Kind.DATA, id=1), Packet(type=fsutil.Kind.FIN)]
    return [packet.SerializeToString() for packet in sent]


PACKETS = packets()


@given(st.lists(st.tuples(st.integers(0, len(PACKETS) - 1), nearly(*PACKETS)), max_size=3))
@settings(deadline=None, max_examples=60)
def test_packets_of_a_transfer(changes: list[tuple[int, bytes]]) -> None:
    """Whatever comes, nothing is made beside the folder."""
    sent = list(PACKETS)
    for at, data in changes:
        sent[at] = data
    folder = Path(tempfile.mkdtemp(prefix="bxf"))
    try:
        receiver = Receiver(str(folder / "target"), Transferred())
        try:
            with contextlib.suppress(BoxshipError):
                receiver.take(sent)
        finally:
            receiver.close()
        assert [path.name for path in folder.iterdir()] in ([], ["target"])
    finally:
        shutil.rmtree(folder)


def test_what_is_no_text_is_no_digest() -> None:
    """It once was an internal error of the engine's."""
    document = json.loads(CONFIG)
    document["rootfs"]["diff_ids"] = [None]
    with pytest.raises(InvalidDocument, match="expected text"):
        built.decode(json.dumps(document).encode())
