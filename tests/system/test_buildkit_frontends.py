"""Frontends that come as images: they drive builds, fail, misbehave, and are cut short."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import doors, frontends
from tests.support.buildkit import (
    CONTROL,
    driven,
    on_engine,
    plain_http2,
    session,
)
from tests.support.debian_registry import debian_registry
from tests.support.engine import Engine

from boxship.build.control.frontendimages import LIMITS
from boxship.client.offers import Offers
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.buildkit import gateway_pb2 as gateway
from boxship.transport.http2 import Http2
from boxship.wire.grpc import Code, Failed

NAME = "test/frontend:1"
SYNTAX = f"# syntax={NAME} more words\nwhatever it understands\n"


@pytest.fixture(scope="module")
def frontend(engine: Engine) -> str:
    frontends.make(engine, NAME)
    labels = 'LABEL moby.buildkit.frontend.network.none="true" '
    caps = "moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests"
    frontends.make(engine, "test/able:1", f'{labels} moby.buildkit.frontend.caps="{caps}"')
    return NAME


@pytest.fixture
def folder(tmp_path: Path, frontend: str) -> str:
    (tmp_path / "Dockerfile").write_text(SYNTAX)
    (tmp_path / "other").write_text("FROM busybox\n")
    return str(tmp_path)


def said_by(engine: Engine, image: str) -> dict[str, object]:
    said: dict[str, object] = json.loads(engine.docker("run", "--rm", image).stdout)
    return said


# Asked for by programs


@pytest.mark.parametrize("door", doors.DOORS[1:])
def test_a_dockerfile_says_which_image_reads_it(engine: Engine, folder: str, door: str) -> None:
    image = f"by-syntax-{door}"
    done = doors.build(engine, door, "-t", image, "--build-arg", f"X={door}", folder)
    assert f"resolve image config for docker-image://docker.io/{NAME}" in done.stdout + done.stderr
    said = said_by(engine, image)
    options = said["options"]
    assert isinstance(options, dict)
    assert options["cmdline"] == f"{NAME} more words"
    assert options["source"] == NAME
    assert options["build-arg:X"] == door
    assert said["text"] == SYNTAX
    assert said["size"] == len(SYNTAX)
    assert said["files"] == ["Dockerfile", "other"]
    assert said["session"] is True
    assert said["links"] == ["eth0", "lo"]


def test_a_client_says_which_image_reads_the_dockerfile(engine: Engine, folder: str) -> None:
    words = ["--build-arg", f"BUILDKIT_SYNTAX={NAME}", "-f", f"{folder}/other"]
    doors.build(engine, "boxship", "-t", "by-argument", *words, folder)
    options = said_by(engine, "by-argument")["options"]
    assert isinstance(options, dict)
    assert options["filename"] == "other"
    failing = doors.build(
        engine, "boxship", *words, "--build-arg", "STORY=failure", folder, check=False
    )
    assert f"failed with build-arg:BUILDKIT_SYNTAX = {NAME}: the recipe" in failing.stderr


def test_a_failure_is_shown_with_the_line_that_chose_the_frontend(
    engine: Engine, folder: str
) -> None:
    done = doors.build(engine, "buildx", "--build-arg", "STORY=failure", folder, check=False)
    assert done.returncode
    assert f"1 | >>> # syntax={NAME} more words" in done.stderr
    assert "ERROR: failed to solve: the recipe makes no sense" in done.stderr


def test_a_named_context_stands_in_for_a_frontend(
    engine: Engine, frontend: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("# syntax=docker/dockerfile:1\nno Dockerfile\n")
    instead = f"docker/dockerfile:1=docker-image://{frontend}"
    doors.build(engine, "boxship", "-t", "instead", "--build-context", instead, str(tmp_path))
    assert said_by(engine, "instead")["text"] == "# syntax=docker/dockerfile:1\nno Dockerfile\n"


def test_a_frontend_is_pulled_where_it_is_missing(
    engine: Engine, frontend: str, tmp_path: Path
) -> None:
    with debian_registry(tmp_path / "registry") as host:
        name = f"{host}/team/frontend:2"
        engine.docker("tag", frontend, name)
        engine.docker("push", "-q", name)
        engine.docker("rmi", name)
        folder = tmp_path / "context"
        folder.mkdir()
        (folder / "Dockerfile").write_text(f"# syntax={name}\n")
        doors.build(engine, "boxship", "-t", "pulled", str(folder))
        options = said_by(engine, "pulled")["options"]
        assert isinstance(options, dict)
        assert options["source"] == name
        engine.docker("rmi", name)


# Asked for by calls


async def built(
    client: Http2, folder: str, ref: str, story: str, image: str = NAME, **options: str
) -> tuple[dict[str, str], pb.StatusResponse]:
    """Build with the frontend, playing a story; return what is answered and was told."""
    offers = Offers(folders={"context": folder, "dockerfile": folder})
    attrs = {"source": image, "build-arg:STORY": story, **options}
    told = pb.StatusResponse()
    async with session(client, ref, offers.methods, offers.serve):
        asked = pb.SolveRequest(ref=ref, frontend="gateway.v0", session=ref, frontend_attrs=attrs)
        if "requestid" not in options:
            asked.exporters.add(type="image", attrs={"name": ref})
        data = await client.ask(CONTROL + "Solve", asked.SerializeToString())
        status = client.open(CONTROL + "Status")
        await status.send(pb.StatusRequest(ref=ref).SerializeToString(), end=True)
        while (message := await status.receive()) is not None:
            told.MergeFrom(pb.StatusResponse.FromString(message))
    return dict(pb.SolveResponse.FromString(data).exporter_response), told


def failure(engine: Engine, folder: str, story: str, image: str = NAME, **options: str) -> Failed:
    """Return what a story fails with; nothing may be left of the frontend."""
    found: list[Failed] = []

    async def tell(client: Http2) -> None:
        with pytest.raises(Failed) as failed:
            await built(client, folder, f"story-{story}", story, image, **options)
        found.append(failed.value)
        assert not left(engine)

    on_engine(engine, tell)
    return found[0]


def left(engine: Engine) -> list[str]:
    """Return what processes of builds have left."""
    return [name for name in os.listdir(f"{engine.root}/x/b") if len(name) == 64]


def test_what_a_frontend_writes_to_its_standard_error_is_shown(engine: Engine, folder: str) -> None:
    async def story(client: Http2) -> None:
        found, told = await built(client, folder, "story-image", "image")
        assert found["containerimage.digest"].startswith("sha256:")
        assert b"the frontend was here\n" in b"".join(one.msg for one in told.logs)
        names = {one.name for one in told.vertexes}
        assert "local://context" in names
        assert "mkfile /said" in names

    on_engine(engine, story)


@pytest.mark.parametrize(
    ("played", "said"),
    [
        ("container", "from a container\n"),
        ("old", "old\n"),
    ],
)
def test_a_frontend_has_all_that_clients_have(
    engine: Engine, folder: str, played: str, said: str
) -> None:
    async def story(client: Http2) -> None:
        await built(client, folder, f"story-{played}", played)

    on_engine(engine, story)
    assert engine.docker("run", "--rm", f"story-{played}", "cat", "/said").stdout == said


def test_a_frontend_has_others_do_its_work(engine: Engine, folder: str) -> None:
    async def story(client: Http2) -> None:
        arguments = {"build-arg:SAID": "an argument"}
        await built(client, folder, "story-dockerfile", "dockerfile", **arguments)
        await built(client, folder, "story-other", "other")

    on_engine(engine, story)
    words = ["run", "--rm", "story-dockerfile", "cat", "/given", "/arg"]
    assert engine.docker(*words).stdout == "by a frontendan argument\n"
    assert said_by(engine, "story-other")["text"] == SYNTAX


def test_a_question_is_answered_by_the_frontend(engine: Engine, folder: str) -> None:
    async def story(client: Http2) -> None:
        asked = {"requestid": "frontend.targets", "frontend.caps": SUBREQUESTS}
        found, _ = await built(client, folder, "story-q", "question", "test/able:1", **asked)
        assert found["result.txt"] == "asked: frontend.targets"
        async with driven(client, "story-q2") as bridge:
            options = {"source": "test/able:1", "build-arg:STORY": "question", **asked}
            solve = gateway.SolveRequest(
                frontend="gateway.v0", frontend_opt=options, allow_result_return=True
            )
            answer = await bridge.ask("Solve", solve, gateway.SolveResponse)
            assert answer.result.metadata["result.txt"] == b"asked: frontend.targets"

    on_engine(engine, story)


SUBREQUESTS = "moby.buildkit.frontend.subrequests"


def test_an_image_that_wants_no_network_has_none(engine: Engine, folder: str) -> None:
    async def story(client: Http2) -> None:
        await built(client, folder, "story-alone", "image", "test/able:1")

    on_engine(engine, story)
    assert said_by(engine, "story-alone")["links"] == ["lo"]


def test_a_capability_that_an_image_lacks_is_named(engine: Engine, folder: str) -> None:
    found = failure(engine, folder, "image", **{"frontend.caps": SUBREQUESTS})
    assert str(found) == f"unsupported frontend capability {SUBREQUESTS}"
    assert found.code is Code.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("story", "said"),
    [
        ("nothing", "no result for incomplete build"),
        ("code", "exit code: 7"),
        ("hang_up", "frontend grpc server closed unexpectedly"),
        ("rude", "frontend grpc server closed unexpectedly"),
    ],
)
def test_a_frontend_that_misbehaves_fails_the_build_and_nothing_else(
    engine: Engine, folder: str, story: str, said: str
) -> None:
    assert said in str(failure(engine, folder, story))


def test_an_image_that_is_no_frontend_is_told_of(engine: Engine, folder: str) -> None:
    assert "/run" in str(failure(engine, folder, "image", "busybox"))
    assert "no source specified" in str(failure(engine, folder, "image", ""))


# Cut short


def limits(engine: Engine) -> set[str]:
    """Return what bounds processes of builds that run now."""
    names = ("memory.max", "memory.limit_in_bytes", "pids.max")
    found: set[str] = set()
    for folder, _, files in os.walk("/sys/fs/cgroup"):
        if any(name in folder for name in left(engine)):
            found |= {Path(folder, one).read_text().strip() for one in names if one in files}
    return found


async def wait_for(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not ready():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def asleep(client: Http2, ref: str) -> None:
    """Wait until the frontend of a build says that it sleeps."""
    status = client.open(CONTROL + "Status")
    await status.send(pb.StatusRequest(ref=ref).SerializeToString(), end=True)
    said = b""
    while b"asleep" not in said and b"step" not in said:
        message = await status.receive()
        assert message is not None, said
        said += b"".join(one.msg for one in pb.StatusResponse.FromString(message).logs)
    status.cancel()


@pytest.mark.parametrize(("story", "how"), [("sleep", "die"), ("solving", "cancel")])
def test_a_frontend_ends_with_its_build(engine: Engine, folder: str, story: str, how: str) -> None:
    async def run() -> None:
        ref = f"cut-{story}-{how}"
        attrs = {"source": NAME, "build-arg:STORY": story}
        asked = pb.SolveRequest(ref=ref, frontend="gateway.v0", frontend_attrs=attrs)
        async with plain_http2(engine) as client, plain_http2(engine) as other:
            data = asked.SerializeToString()
            solving = asyncio.ensure_future(client.ask(CONTROL + "Solve", data))
            await asleep(other, ref)
            assert limits(engine) >= {str(LIMITS.memory), str(LIMITS.pids)}
            if how == "cancel":
                solving.cancel()
            else:
                client.close()
            await wait_for(lambda: not left(engine))
            await asyncio.wait([solving])

    asyncio.run(run())


def test_what_a_killed_daemon_leaves_of_a_frontend_is_ended(own_engine: Engine) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    frontends.make(engine, NAME)

    async def story() -> None:
        attrs = {"source": NAME, "build-arg:STORY": "solving"}
        asked = pb.SolveRequest(ref="killed", frontend="gateway.v0", frontend_attrs=attrs)
        async with plain_http2(engine) as client, plain_http2(engine) as other:
            data = asked.SerializeToString()
            solving = asyncio.ensure_future(client.ask(CONTROL + "Solve", data))
            await asleep(other, "killed")
            engine.kill()
            await asyncio.wait([solving])

    asyncio.run(story())
    assert left(engine)
    engine.start()

    async def later() -> None:
        async with plain_http2(engine) as client, driven(client, "later") as bridge:
            await bridge.ask("Ping", gateway.PingRequest(), gateway.PongResponse)
            assert not left(engine)

    asyncio.run(later())
