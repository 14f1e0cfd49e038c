"""Clients whose sessions do not do what they should: the engine goes on, and keeps nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.buildkit import CONTROL, on_engine, session
from tests.support.engine import PATIENCE, Engine

from boxship.client.offers import SYNC, Offers
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.buildkit.session_pb2 import Packet, Stat
from boxship.transport.http2 import Http2, Stream
from boxship.wire.fsutil import Kind
from boxship.wire.grpc import Failed

pytestmark = pytest.mark.usefixtures("unharmed")
Script = Callable[[Stream], Awaitable[None]]
PIECE = b"x" * 30_000
ENOUGH = 2.0 * PATIENCE  # seconds of something endless


def announced(name: bytes, size: int) -> bytes:
    said = Stat(path=name, mode=0o644, size=size, mod_time=10**18)
    return Packet(type=Kind.STAT, stat=said).SerializeToString()


async def without_end(stream: Stream) -> None:
    number = 0
    while True:
        number += 1
        await stream.send(announced(b"%09d" % number, 0))


async def data_without_end(stream: Stream) -> None:
    await stream.send(announced(b"f", 1), Packet().SerializeToString())
    while True:
        await stream.send(Packet(type=Kind.DATA, id=0, data=PIECE).SerializeToString())


async def nothing(stream: Stream) -> None:
    await asyncio.Event().wait()


async def never_done(stream: Stream) -> None:
    await stream.send(announced(b"f", 1), Packet().SerializeToString())
    await nothing(stream)


def sends(claimed: int, *pieces: bytes) -> Script:
    """Announce one file of some size and send another."""

    async def script(stream: Stream) -> None:
        await stream.send(announced(b"f", claimed), Packet().SerializeToString())
        while (message := await stream.receive()) is not None:
            packet = Packet.FromString(message)
            if packet.type == Kind.REQ:
                for piece in (*pieces, b""):
                    sent = Packet(type=Kind.DATA, id=packet.id, data=piece)
                    await stream.send(sent.SerializeToString())
            elif packet.type == Kind.FIN:
                await stream.send(Packet(type=Kind.FIN).SerializeToString())

    return script


@contextlib.asynccontextmanager
async def serving(client: Http2, ref: str, folder: Path, script: Script) -> AsyncIterator[bytes]:
    """Offer a Dockerfile, and a context that comes as the script will have it.

    There is no `.dockerignore` in it, and who asks for that alone is told so.
    """
    offers = Offers(folders={"dockerfile": str(folder), "context": str(folder)})

    async def serve(stream: Stream) -> None:
        asked_for = stream.metadata.get("followpaths", ())
        whole = ".dockerignore" not in asked_for
        if stream.path == SYNC and "context" in stream.metadata.get("dir-name", ()) and whole:
            stream.answer()
            await script(stream)
        else:
            await offers.serve(stream)

    asked = pb.SolveRequest(ref=ref, frontend="dockerfile.v0", session=ref)
    asked.exporters.add(type="moby", attrs={"name": f"{ref}:1"})
    async with session(client, ref, offers.methods, serve):
        yield asked.SerializeToString()


@pytest.mark.parametrize("script", [without_end, data_without_end, nothing, never_done])
def test_what_has_no_end_ends_with_its_client(
    engine: Engine, tmp_path: Path, script: Script
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY . /\n")

    async def story(client: Http2) -> None:
        async with serving(client, f"endless-{script.__name__}", tmp_path, script) as asked:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(ENOUGH):
                    await client.ask(CONTROL + "Solve", asked)

    on_engine(engine, story)
    assert engine.boxship("system", "check").stdout.strip() == "clean"


@pytest.mark.parametrize(
    ("claimed", "pieces"),
    [(1000, (b"abc",)), (3, (PIECE, PIECE)), (1 << 60, (b"abc",)), (7, ()), (-5, ())],
    ids=["short", "long", "exabyte", "nothing", "negative"],
)
def test_a_file_is_what_was_sent_whatever_was_said(
    engine: Engine, tmp_path: Path, claimed: int, pieces: tuple[bytes, ...]
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY f /f\nRUN wc -c < /f > /size\n")
    ref = f"lies-{abs(claimed)}"

    async def story(client: Http2) -> None:
        async with serving(client, ref, tmp_path, sends(claimed, *pieces)) as asked:
            await client.ask(CONTROL + "Solve", asked)

    on_engine(engine, story)
    size = engine.docker("run", "--rm", "--network", "none", f"{ref}:1", "cat", "/size").stdout
    assert int(size) == sum(map(len, pieces))
    engine.docker("image", "rm", f"{ref}:1")


def test_a_context_that_breaks_off_fails_the_build(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY . /\n")

    async def script(stream: Stream) -> None:
        await stream.send(Packet(type=Kind.ERR, data=b"it is \x1b[31mbroken").SerializeToString())

    async def story(client: Http2) -> None:
        async with serving(client, "breaks-off", tmp_path, script) as asked:
            with pytest.raises(Failed, match="broken"):
                await client.ask(CONTROL + "Solve", asked)

    on_engine(engine, story)
