"""The builds of the past after a daemon was killed: listed, told again, read blob by blob."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import doors
from tests.support.buildkit import CONTROL, on_engine
from tests.support.engine import Engine
from tests.support.waiting import wait_until

from boxship.spec.buildkit import content_pb2 as content
from boxship.spec.buildkit import control_pb2 as pb
from boxship.transport.http2 import Http2
from boxship.wire.grpc import Code, Failed

CONTENT = "/containerd.services.content.v1.Content/"


async def read(client: Http2, digest: str, offset: int = 0, size: int = 0) -> bytes:
    """Read a blob of the engine's content store."""
    stream = client.open(CONTENT + "Read")
    asked = content.ReadRequest(digest=digest, offset=offset, size=size)
    await stream.send(asked.SerializeToString(), end=True)
    data = b""
    while (message := await stream.receive()) is not None:
        data += content.ReadResponse.FromString(message).data
    return data


async def records(client: Http2, **asked: object) -> list[pb.HistoryRecord]:
    stream = client.open(CONTROL + "ListenBuildHistory")
    request = pb.HistoryRequest(early_exit=True, **asked)  # type: ignore[arg-type]
    await stream.send(request.SerializeToString(), end=True)
    found = []
    while (message := await stream.receive()) is not None:
        found.append(pb.HistoryEvent.FromString(message).record)
    return found


async def info(client: Http2, digest: str) -> content.Info:
    asked = content.InfoRequest(digest=digest).SerializeToString()
    return content.InfoResponse.FromString(await client.ask(CONTENT + "Info", asked)).info


def test_builds_are_remembered_when_the_daemon_was_killed(
    own_engine: Engine, tmp_path: Path
) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox:latest\nARG T\nRUN echo kept of $T; [ $T ]\n"
    )
    arg = ("--build-arg", "T=one")
    engine.boxship("build", "-q", "-t", "kept:1", *arg, str(tmp_path))
    engine.boxship("build", "-q", str(tmp_path), check=False)
    engine.kill()
    engine.start()
    listed = engine.boxship("buildx", "history", "ls").stdout.splitlines()
    assert "Error" in listed[1]
    assert "Completed" in listed[2]
    good = listed[2].split()[0]
    assert "kept of one" in engine.boxship("buildx", "history", "logs", good).stdout

    async def story(client: Http2) -> None:
        (one,) = await records(client, ref=good)
        (statement,) = one.result.attestations
        assert statement.annotations["in-toto.io/predicate-type"].startswith("https://slsa.dev")
        provenance = json.loads(await read(client, statement.digest))
        assert provenance["invocation"]["parameters"]["args"]["build-arg:T"] == "one"
        logs = await read(client, one.logs.digest)
        assert hashlib.sha256(logs).hexdigest() == one.logs.digest.partition(":")[2]
        assert await read(client, one.logs.digest, 4, 10) == logs[4:14]
        assert (await info(client, one.logs.digest)).size == one.logs.size == len(logs)
        image = one.result.results[0].digest
        assert json.loads(await read(client, image))["schemaVersion"] == 2  # the engine's own
        listing = await client.ask(CONTENT + "List", content.ListRequest().SerializeToString())
        known = {found.digest for found in content.ListResponse.FromString(listing).info}
        assert {image, one.logs.digest, statement.digest} <= known
        (bad,) = await records(client, filter=["status==error"])
        status = pb.Status.FromString(await read(client, bad.external_error.digest))
        assert "exit code: 1" in status.message == bad.error.message
        for asked in (
            pb.HistoryUpdateRequest(ref=good, pinned=True),
            pb.HistoryUpdateRequest(ref=good, finalize=True),
            pb.HistoryUpdateRequest(ref=good, delete=True),
        ):
            await client.ask(CONTROL + "UpdateBuildHistory", asked.SerializeToString())
        assert [found.ref for found in await records(client)] == [bad.ref]
        with pytest.raises(Failed) as failure:
            await info(client, statement.digest)
        assert failure.value.code is Code.NOT_FOUND
        for method in ("Write", "Delete", "Update"):
            with pytest.raises(Failed):
                await client.ask(CONTENT + method, b"")

    on_engine(engine, story)


def test_who_listens_without_leaving_hears_of_the_next_build(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")

    async def story(client: Http2) -> None:
        stream = client.open(CONTROL + "ListenBuildHistory")
        asked = pb.HistoryRequest(active_only=True)
        await stream.send(asked.SerializeToString(), end=True)
        building = asyncio.to_thread(engine.boxship, "build", "-q", str(tmp_path))
        task = asyncio.ensure_future(building)
        kinds: list[int] = []
        while pb.COMPLETE not in kinds:
            message = await stream.receive()
            assert message is not None
            kinds.append(pb.HistoryEvent.FromString(message).type)
        await task
        stream.cancel()

    on_engine(engine, story)


def test_a_trace_has_what_the_client_did(engine: Engine, tmp_path: Path) -> None:
    """Spans come from the client when its build is over, and belong to the build's trace."""
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\nRUN echo traced\n")
    doors.build(engine, "buildx", "-t", "traced:1", str(tmp_path))

    def trace() -> Any:
        words = ("buildx", "history", "trace")
        return json.loads(engine.boxship(*words).stdout)["data"]

    wait_until(lambda: len(trace()[0]["processes"]) > 1)
    (found,) = trace()
    names = {one["serviceName"] for one in found["processes"].values()}
    assert names == {"boxshipd", "buildx"}
    spans = {one["spanID"]: one for one in found["spans"]}
    solve = next(one for one in spans.values() if one["operationName"].endswith("Control/Solve")
                 and found["processes"][one["processID"]]["serviceName"] == "boxshipd")  # fmt: skip
    assert solve["references"][0]["spanID"] in spans  # the client's own span of the call
