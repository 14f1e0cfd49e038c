"""BuildKit's services called directly: sessions, definitions, and clients that break the rules."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.buildkit import AMD64, BUSYBOX, CONTROL, driven, on_engine, run
from tests.support.engine import Engine
from tests.support.pipes import connect

from boxship.build import ops
from boxship.build.control import llbwriting
from boxship.build.needs import Credentials, SyncRequest
from boxship.build.session.client import Client
from boxship.build.session.errors import NotOffered
from boxship.client.offers import Offers
from boxship.client.sshagents import Running
from boxship.errors import NotFound
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.buildkit import gateway_pb2 as gateway
from boxship.transport.http2 import ConnectionLost, Http2
from boxship.transport.tunnel import InCall, Tunnel
from boxship.wire.grpc import Code, Failed


def test_the_builder_answers_over_plain_http2(engine: Engine) -> None:
    async def story(client: Http2) -> None:
        info = pb.InfoResponse.FromString(await client.ask(CONTROL + "Info", b""))
        assert info.version.version.endswith("-moby")
        found = pb.ListWorkersResponse.FromString(await client.ask(CONTROL + "ListWorkers", b""))
        (worker,) = found.record
        assert "org.mobyproject.buildkit.worker.snapshotter" in worker.labels
        with pytest.raises(Failed) as failure:
            await client.ask("/no.such.Service/Method", b"")
        assert failure.value.code is Code.UNIMPLEMENTED

    on_engine(engine, story)


def test_spans_of_clients_are_taken(engine: Engine) -> None:
    """As OTLP has it: the answer is an empty message, and so nothing was refused."""
    path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

    async def story(client: Http2) -> None:
        for spans in (b"", b"\x0a\x04\x12\x02\x12\x00"):
            assert await client.ask(path, spans) == b""

    on_engine(engine, story)


def test_a_definition_is_solved_and_its_progress_told(engine: Engine) -> None:
    made = run("sh", "-c", "echo from a definition; echo x > /made")
    copied = ops.Files((ops.Action(ops.Copy("/made", "/"), ops.SCRATCH, 0, output=0),))
    root = ops.Ref(ops.Vertex(copied, (made,)))

    async def story(client: Http2) -> None:
        request = pb.SolveRequest(ref="definition-1", definition=llbwriting.write(root))
        request.exporters.add(type="image", attrs={"name": "definition:1"})
        status = client.open(CONTROL + "Status")
        await status.send(pb.StatusRequest(ref="definition-1").SerializeToString(), end=True)
        answer = await client.ask(CONTROL + "Solve", request.SerializeToString())
        found = pb.SolveResponse.FromString(answer).exporter_response
        assert found["containerimage.digest"].startswith("sha256:")
        told = pb.StatusResponse()
        while (message := await status.receive()) is not None:
            told.MergeFrom(pb.StatusResponse.FromString(message))
        assert b"from a definition" in b"".join(log.msg for log in told.logs)
        assert all(vertex.digest.startswith("sha256:") for vertex in told.vertexes)

    on_engine(engine, story)
    assert "definition" in engine.docker("images").stdout


def test_a_client_drives_a_build_through_the_bridge_and_looks_into_results(engine: Engine) -> None:
    async def story(client: Http2) -> None:
        async with driven(client, "bridge-1") as bridge:
            pong = await bridge.ask("Ping", gateway.PingRequest(), gateway.PongResponse)
            assert {cap.id for cap in pong.llb_caps} >= {"source.image", "mergeop", "diffop"}
            ref = await bridge.solve(
                run("sh", "-c", "mkdir /d; echo inside > /d/f; ln -s /etc/passwd /d/l")
            )

            async def read(path: str) -> bytes:
                wanted = gateway.ReadFileRequest(ref=ref, path=path)
                return (await bridge.ask("ReadFile", wanted, gateway.ReadFileResponse)).data

            assert await read("/d/f") == b"inside\n"
            assert (await read("/d/l")).startswith(b"root:x:0:0:root:/root")  # the image's own
            assert b"inside" in await read("../../../d/f")
            listing = gateway.ReadDirRequest(ref=ref, path="d")
            found = await bridge.ask("ReadDir", listing, gateway.ReadDirResponse)
            assert [one.path for one in found.entries] == [b"f", b"l"]
            with pytest.raises(Failed) as failure:
                await read("/nothing")
            assert failure.value.code is Code.NOT_FOUND
            await bridge.give_back(ref)
            await bridge.solving

    on_engine(engine, story)


def test_a_client_finds_the_results_it_has_given_to_its_build(engine: Engine) -> None:
    given = llbwriting.write(run("true"))

    async def story(client: Http2) -> None:
        async with driven(client, "inputs-1", frontend_inputs={"base": given}) as bridge:
            found = await bridge.ask("Inputs", gateway.InputsRequest(), gateway.InputsResponse)
            assert found.definitions["base"].ops == given.ops

    on_engine(engine, story)


def test_what_makes_no_sense_is_refused_and_the_engine_goes_on(engine: Engine) -> None:
    async def story(client: Http2) -> None:
        for path in ("Solve", "Status", "Prune", "Session", "UpdateBuildHistory"):
            with pytest.raises(Failed):
                await client.ask(CONTROL + path, b"\xff\xff\xff", timeout=30)
        with pytest.raises(Failed):  # without a name
            await client.ask(CONTROL + "Solve", pb.SolveRequest().SerializeToString())
        request = pb.SolveRequest(ref="odd", frontend="no.such.frontend")
        with pytest.raises(Failed, match="frontend"):
            await client.ask(CONTROL + "Solve", request.SerializeToString())
        request = pb.SolveRequest(ref="odd", frontend="dockerfile.v0", session="nobody")
        with pytest.raises(Failed, match="no active session"):
            await client.ask(CONTROL + "Solve", request.SerializeToString())
        assert await client.ask(CONTROL + "Info", b"")

    on_engine(engine, story)


def test_an_image_must_have_the_digest_that_a_definition_names(engine: Engine) -> None:
    name = "docker-image://docker.io/library/busybox:latest"
    digest = engine.docker("image", "inspect", "-f", "{{.Id}}", "busybox").stdout.strip()

    async def solved(client: Http2, checksum: str) -> None:
        source = ops.Source(name, (("image.checksum", checksum),))
        definition = llbwriting.write(ops.Ref(ops.Vertex(source, platform=AMD64)))
        asked = pb.SolveRequest(ref=f"checked-{checksum}", definition=definition)
        await client.ask(CONTROL + "Solve", asked.SerializeToString())

    async def story(client: Http2) -> None:
        await solved(client, digest)
        with pytest.raises(Failed, match=f"has the digest {digest}, and not sha256:00"):
            await solved(client, f"sha256:{0:064}")

    on_engine(engine, story)


def test_insecure_processes_need_consent(engine: Engine) -> None:
    process = ops.Exec(
        ("true",), mounts=(ops.Bind("/", 0, output=0),), security=ops.Security.INSECURE
    )
    root = ops.Ref(ops.Vertex(process, (BUSYBOX,), platform=AMD64))

    async def story(client: Http2) -> None:
        for number, consent in enumerate(([], ["security.insecure"])):
            request = pb.SolveRequest(
                ref=f"insecure-{number}", definition=llbwriting.write(root), entitlements=consent
            )
            with pytest.raises(Failed, match=r"security\.insecure is not allowed"):
                await client.ask(CONTROL + "Solve", request.SerializeToString())

    on_engine(engine, story)


def test_bytes_that_are_no_http2_end_the_connection_only(engine: Engine) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for rest in (b"\0" * 100, os.urandom(1000), b"\0\xff\xff\x01\x24\0\0\0\1" + b"x" * 50):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(20)
            raw.connect(engine.socket)
            raw.sendall(preface + rest)
            raw.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while raw.recv(65536):
                    pass
    assert engine.docker("version").returncode == 0


def test_a_session_needs_an_id_and_an_upgrade(engine: Engine) -> None:
    for head, status in (
        (b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"400"),
        (b"X-Docker-Expose-Session-Uuid: x\r\n", b"400"),
    ):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(20)
            raw.connect(engine.socket)
            raw.sendall(b"POST /session HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
            assert status in raw.recv(4096).split(b"\r\n")[0]


def test_a_session_may_be_carried_by_a_call(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\nCOPY Dockerfile /\n")
    offers = Offers(folders={"context": str(tmp_path), "dockerfile": str(tmp_path)})

    async def story(client: Http2) -> None:
        said = [("x-docker-expose-session-uuid", "inside")]
        said += [("x-docker-expose-session-grpc-method", method) for method in offers.methods]
        carrying = client.open(CONTROL + "Session", said)
        async with Tunnel(InCall(carrying)) as tunnel:
            tunnel.adopt(Http2(offers.serve))
            request = pb.SolveRequest(ref="tunnel", frontend="dockerfile.v0", session="inside")
            request.exporters.add(type="moby")
            answer = await client.ask(CONTROL + "Solve", request.SerializeToString())
            found = pb.SolveResponse.FromString(answer).exporter_response
            assert found["containerimage.digest"].startswith("sha256:")
        carrying.cancel()

    on_engine(engine, story)


# What a client offers, asked over a connection in memory


@contextlib.asynccontextmanager
async def asked(offers: Offers) -> AsyncIterator[Client]:
    served, calling = Http2(offers.serve), Http2()
    connect(served, calling)
    async with asyncio.timeout(30):
        yield Client(calling, id="x", methods=[method.upper() for method in offers.methods])
    calling.close()
    await served.wait_closed()


def test_secrets_and_credentials_are_asked_of_the_client() -> None:
    async def story() -> None:
        logins = {"one.example": ("me", "pass"), "two.example": ("", "identity")}
        offers = Offers(
            secrets={"token": lambda: b"sesame"},
            login=lambda host: logins.get(host, ("", "")),
        )
        async with asked(offers) as client:
            assert await client.secret("token") == b"sesame"
            with pytest.raises(NotFound):
                await client.secret("other")
            assert await client.credentials("one.example") == Credentials("me", "pass")
            assert await client.credentials("two.example") == Credentials(token="identity")
            assert await client.credentials("three.example") == Credentials()
            with pytest.raises(NotOffered):
                await client.sync(SyncRequest("context"), "/nowhere")

    asyncio.run(story())


def test_an_agent_is_spoken_to_through_the_client(tmp_path: Path) -> None:
    async def story() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            size = int.from_bytes(await reader.readexactly(4))
            answer = b"> " + await reader.readexactly(size)
            writer.write(len(answer).to_bytes(4) + answer)
            await writer.drain()
            writer.close()

        path = str(tmp_path / "agent")
        agent = await asyncio.start_unix_server(echo, path)
        async with agent, asked(Offers(agents={"default": Running(path)})) as client:
            pipe = await client.agent("default")
            await pipe.write(b"\0\0\0\x01\x11" + b"\0\0\0")  # may not remove keys
            assert await pipe.read() == b"\0\0\0\x01\x05"
            await pipe.write(b"\x0a\x0dsign this")
            assert await pipe.read() == b"\0\0\0\x0c> \x0dsign this"
            await pipe.close()
            with pytest.raises((NotFound, Failed)):
                await client.agent("other")

    asyncio.run(story())


def test_a_folder_is_synced_by_name_and_patterns(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "sub").mkdir(parents=True)
    (source / "a.txt").write_text("a")
    (source / "b.log").write_text("b")
    (source / "sub/ü.txt").write_text("c")

    async def story() -> None:
        async with asked(Offers(folders={"context": str(source)})) as client:
            request = SyncRequest("context", exclude=("*.log",), include=("a.txt", "sub/ü.txt"))
            await client.sync(request, str(target))
            with pytest.raises(NotFound):
                await client.sync(SyncRequest("other"), str(target))

    asyncio.run(story())
    found = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert found == ["a.txt", "sub", "sub/ü.txt"]


def test_results_go_to_the_client(tmp_path: Path) -> None:
    result, target = tmp_path / "result", tmp_path / "target"
    result.mkdir()
    (result / "f").write_text("made")
    target.mkdir()
    (target / "own").write_text("stays")

    async def story(archive: int) -> None:
        async with asked(Offers(targets={0: str(target), 3: archive})) as client:
            await client.send_tree(str(result), 0)
            await client.send_archive(iter([b"x" * 100_000, b"y"]), {"k": "ü"}, 3)
            with pytest.raises((NotFound, Failed)):
                await client.send_archive(iter([b"z"]), {}, 9)

    with open(tmp_path / "archive", "wb") as file:
        asyncio.run(story(file.fileno()))
    assert {path.name for path in target.iterdir()} == {"f", "own"}
    assert (tmp_path / "archive").stat().st_size == 100_001


def test_a_client_that_is_gone_is_told_as_such() -> None:
    async def story() -> None:
        served, calling = Http2(Offers(secrets={"x": lambda: b""}).serve), Http2()
        ends = connect(served, calling)
        client = Client(calling, id="x", methods=["/moby.buildkit.secrets.v1.Secrets/GetSecret"])
        ends[0].close()
        with pytest.raises(ConnectionLost):
            await client.secret("x")
        async with asyncio.timeout(10):
            await client.watch()

    asyncio.run(story())


def test_a_context_may_come_before_its_build(engine: Engine) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        info = tarfile.TarInfo("Dockerfile")
        text = b"FROM busybox:latest\nRUN echo came early\n"
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    body = data.getvalue()
    head = "POST /v1.40/build?version=2&{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    upload, build = (head.format(f"buildid={id}") for id in ("upload-request%3Aearly", "early"))
    build = build.replace("version=2", "version=2&remote=upload-request&t=early:1")
    with calling(engine) as uploading, calling(engine) as building:
        uploading.sendall(f"{upload}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        building.sendall(f"{build}Content-Length: 0\r\n\r\n".encode())
        assert b"moby.image.id" in all_of(building)
        assert all_of(uploading).startswith(b"HTTP/1.1 200 ")


@contextlib.contextmanager
def calling(engine: Engine) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(60)
        raw.connect(engine.socket)
        yield raw


def all_of(raw: socket.socket) -> bytes:
    data = b""
    while more := raw.recv(1 << 16):
        data += more
    return data
