"""Builds that are given up at every stage: the call, the connection or the session goes away.

Nothing may be left of them, and the next build is right.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.buildkit import CONTROL, on_engine, plain_http2, session
from tests.support.engine import Engine
from tests.support.websites import Asked, Page, Site, site

from boxship.client.offers import SECRET, SEND, SYNC, Offers
from boxship.spec.buildkit import control_pb2 as pb
from boxship.transport.http2 import Http2, Stream

WAYS = ("call", "connection", "session")


class Stage:
    """A client that stops answering at one stage, and knows when the build has come to it."""

    def __init__(self, offers: Offers, method: str) -> None:
        self.reached = asyncio.Event()
        self._offers = offers
        self._method = method

    @property
    def methods(self) -> list[str]:
        return [*self._offers.methods, self._method]

    async def serve(self, stream: Stream) -> None:
        if stream.path == self._method:
            self.reached.set()
            stream.answer()
            while await stream.receive() is not None:
                pass
            await asyncio.Event().wait()
        await self._offers.serve(stream)


@pytest.fixture(scope="module")
def slow() -> Iterator[tuple[Site, threading.Event]]:
    """A server that begins to answer and does not go on."""
    asked, over = threading.Event(), threading.Event()

    def answer(request: Asked) -> Page:
        asked.set()
        over.wait(60)
        return Page()

    with site(answer) as running:
        try:
            yield running, asked
        finally:
            over.set()


def left(engine: Engine) -> list[str]:
    """Return what builds have that are under way, or have left."""
    found = [name for name in os.listdir(f"{engine.root}/x/b") if len(name) == 64]
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        if folder.endswith(engine.cgroup_parent):
            found += [f"{folder}/{name}" for name in names]
    mounts = Path("/proc/self/mountinfo").read_text()
    found += [line for line in mounts.splitlines() if f"{engine.root}/x/b/" in line]
    return [*found, *os.listdir(f"{engine.root}/data/build/contexts")]


async def wait_until_nothing_is_left(engine: Engine) -> None:
    async with asyncio.timeout(60):
        while left(engine):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def said(client: Http2, ref: str, text: bytes) -> None:
    """Wait until a process of a build has written something."""
    status = client.open(CONTROL + "Status")
    await status.send(pb.StatusRequest(ref=ref).SerializeToString(), end=True)
    heard = b""
    while text not in heard:
        message = await status.receive()
        assert message is not None, heard
        heard += b"".join(one.msg for one in pb.StatusResponse.FromString(message).logs)
    status.cancel()


async def _heard(event: threading.Event) -> None:
    await asyncio.to_thread(event.wait, 60)


async def _set(event: asyncio.Event) -> None:
    await event.wait()


@contextlib.asynccontextmanager
async def begun(
    engine: Engine, stage: str, folder: Path, how: str, site_url: str, reached: threading.Event
) -> AsyncIterator[None]:
    """Begin a build and let it come to a stage; then what is told by `how` goes away."""
    ref = f"given-up-{stage}-{how}"
    lines = {
        "file": "FROM scratch\n",
        "step": "FROM busybox\nRUN echo here; sleep 600\n",
        "secret": "FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s\n",
        "source": f"FROM busybox\nADD {site_url}/{how} /\n",
        "export": "FROM busybox\nRUN true\n",
    }
    (folder / "Dockerfile").write_text(lines[stage])
    folders = {"dockerfile": str(folder), "context": str(folder)}
    method = {"file": SYNC, "secret": SECRET, "export": SEND}.get(stage, "/none")
    serving = Stage(Offers(folders=folders), method)
    asked = pb.SolveRequest(ref=ref, frontend="dockerfile.v0", session=ref)
    if stage == "export":
        asked.exporters.add(type="tar")
    async with contextlib.AsyncExitStack() as undo:
        carrier = await undo.enter_async_context(plain_http2(engine))
        caller = await undo.enter_async_context(plain_http2(engine))
        watcher = await undo.enter_async_context(plain_http2(engine))
        sessions = contextlib.AsyncExitStack()
        await sessions.enter_async_context(session(carrier, ref, serving.methods, serving.serve))
        undo.push_async_callback(sessions.aclose)
        data = asked.SerializeToString()
        solving = asyncio.ensure_future(caller.ask(CONTROL + "Solve", data))
        undo.callback(solving.cancel)
        match stage:
            case "step":
                waiting = asyncio.ensure_future(said(watcher, ref, b"here"))
            case "source":
                waiting = asyncio.ensure_future(_heard(reached))
            case _:
                waiting = asyncio.ensure_future(_set(serving.reached))
        undo.callback(waiting.cancel)
        await asyncio.wait([waiting, solving], return_when=asyncio.FIRST_COMPLETED)
        if solving.done():
            await solving  # it has failed before
        if how == "call":
            solving.cancel()
        elif how == "connection":
            caller.close()
        else:
            carrier.close()
        yield
        if how == "session" and stage in ("step", "source"):  # they need the client no more
            solving.cancel()
        await asyncio.wait([solving])


STAGES = ("file", "step", "secret", "source", "export")


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_build_that_is_given_up_leaves_nothing(
    engine: Engine,
    tmp_path: Path,
    slow: tuple[Site, threading.Event],
    stage: str,
    how: str,
) -> None:
    running, reached = slow
    reached.clear()

    async def story() -> None:
        async with begun(engine, stage, tmp_path, how, running.url, reached):
            pass
        await wait_until_nothing_is_left(engine)

    asyncio.run(story())


def test_the_next_build_is_right(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox\nCOPY Dockerfile /\nRUN test -e /Dockerfile\n"
    )
    offers = Offers(folders={"dockerfile": str(tmp_path), "context": str(tmp_path)})

    async def story(client: Http2) -> None:
        async with session(client, "next", offers.methods, offers.serve):
            asked = pb.SolveRequest(ref="next", frontend="dockerfile.v0", session="next")
            await client.ask(CONTROL + "Solve", asked.SerializeToString())
        assert not left(engine)

    on_engine(engine, story)
