"""A few of a client's files come into memory: links beneath the folder, and nothing unasked."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.pipes import connect

from boxship.build.session import few
from boxship.build.session.few import Gathered, gather
from boxship.errors import InvalidRequest
from boxship.spec.buildkit.session_pb2 import Packet, Stat
from boxship.transport.filesync.send import Tree, send
from boxship.transport.http2 import Http2, Stream
from boxship.wire import fsutil
from boxship.wire.fsutil import BadTransfer, Kind


def gathered(source: Path, wanted: Sequence[str], limit: int = 1000) -> Gathered:
    """Have files of `source` sent over a connection in memory."""

    async def run() -> Gathered:
        async def serve(stream: Stream) -> None:
            await send(stream, Tree(str(source)))

        server, client = Http2(serve), Http2()
        connect(server, client)
        async with asyncio.timeout(30):
            found = await gather(client.open("/x/DiffCopy"), wanted, limit)
        client.close()
        await server.wait_closed()
        return found

    return asyncio.run(run())


def packet(path: str, mode: int = stat.S_IFREG | 0o644, size: int = 0, link: str = "") -> bytes:
    said = Stat(
        path=os.fsencode(path), mode=fsutil.to_go(mode), size=size, linkname=os.fsencode(link)
    )
    return Packet(type=Kind.STAT, stat=said).SerializeToString()


END = Packet(type=Kind.STAT).SerializeToString()


def data(number: int, content: bytes) -> bytes:
    return Packet(type=Kind.DATA, id=number, data=content).SerializeToString()


def test_only_what_the_names_lead_to_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "real").write_text("FROM scratch\n")
    (tmp_path / "sub" / "other").write_text("x" * 500)
    (tmp_path / "Dockerfile").symlink_to("/sub/../sub/real")
    (tmp_path / "empty").touch()
    os.link(tmp_path / "sub" / "real", tmp_path / "twin")
    found = gathered(tmp_path, ["Dockerfile", "empty", "missing", "twin"])
    assert found.read("Dockerfile", 100) == found.read("/twin", 100) == b"FROM scratch\n"
    assert found.read("empty", 100) == b""
    assert found.read("missing", 100) is None
    assert found.read("sub", 100) is None
    assert found.size == len("FROM scratch\n")


def test_a_link_out_of_the_folder_stays_in_it_and_a_circle_is_no_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "secret").write_text("secret")
    (source / "out").symlink_to("../secret")
    (source / "round").symlink_to("round")
    found = gathered(source, ["out", "round", "../secret"])
    assert [found.read(name, 100) for name in ("out", "round", "../secret")] == [None] * 3


def test_a_file_that_is_too_large_is_not_sent_and_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("x" * 2000)
    found = gathered(tmp_path, ["Dockerfile"])
    assert found.size == 0
    with pytest.raises(InvalidRequest, match="Dockerfile is larger than 100 bytes"):
        found.read("Dockerfile", 100)


@pytest.mark.parametrize(
    "messages",
    [
        [packet("../x")],
        [packet("no/x")],
        [packet("x"), packet("x")],
        [packet("x"), packet("x/y")],
        [packet("x", link="gone")],
        [packet("x", size=4), END, data(7, b"1")],
        [packet("x", size=4), packet("y", size=4), END, data(1, b"1")],
        [packet("x", size=4), END, data(0, b"1"), data(0, b"1" * 1000)],
        [packet("x", size=4), END, Packet(type=Kind.FIN).SerializeToString()],
        [END, packet("x")],
    ],
)
def test_what_breaks_the_rules_ends_the_transfer(messages: list[bytes]) -> None:
    with pytest.raises(BadTransfer):
        Gathered(["x"], 1000).take(messages)


def test_who_announces_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few, "MOST_ENTRIES", 10)
    with pytest.raises(BadTransfer):
        Gathered(["x"], 1000).take([packet(f"f{number}") for number in range(11)])
