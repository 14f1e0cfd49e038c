"""A folder is offered at one end of a connection in memory and taken over at the other."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest
from tests.support.pipes import connect

from boxship.spec.buildkit.session_pb2 import Packet, Stat
from boxship.transport.filesync.choose import Choice, follow
from boxship.transport.filesync.receive import Receiver, Transferred, receive
from boxship.transport.filesync.send import Tree, send
from boxship.transport.http2 import Http2, Stream
from boxship.wire import fsutil
from boxship.wire.fsutil import BadTransfer, Kind


def transfer(
    source: Path, target: Path, choice: Choice | None = None, *, keep: bool = False
) -> Transferred:
    """Bring `target` up to date with `source`."""

    async def run() -> Transferred:
        async def serve(stream: Stream) -> None:
            await send(stream, Tree(str(source), choice))

        server, client = Http2(serve), Http2()
        connect(server, client)
        async with asyncio.timeout(30):
            stream = client.open("/moby.filesync.v1.FileSync/DiffCopy")
            done = await receive(stream, str(target), keep=keep)
        client.close()
        await server.wait_closed()
        return done

    return asyncio.run(run())


def picture(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return all that a transfer must keep of a folder."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        what: object = None
        if path.is_symlink():
            what = os.readlink(path)
        elif path.is_file():
            what = path.read_bytes()
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, what)
    return found


def make_tree(folder: Path) -> None:
    folder.mkdir()
    (folder / "a").mkdir()
    (folder / "a" / "x").write_bytes(b"x" * 100_000)
    (folder / "a.b").write_text("after a/x in the protocol's order")
    (folder / "empty").touch()
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "deep" / "er" / "run.sh").chmod(0o4755)
    os.link(folder / "a" / "x", folder / "hard")
    os.mkfifo(folder / "pipe")
    (folder / "a").chmod(0o1777)
    os.utime(folder / "a", ns=(10**18 + 7, 10**18 + 7))
    with open(os.path.join(os.fsencode(folder), b"\xff\xfe"), "wb") as file:
        file.write(b"a name that is no text")


def test_a_tree_arrives_as_it_is_and_a_second_time_nothing_is_sent(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    make_tree(source)
    done = transfer(source, target)
    assert picture(target) == picture(source)
    assert done.asked == 4
    assert (target / "hard").stat().st_ino == (target / "a" / "x").stat().st_ino
    assert transfer(source, target).asked == 0
    assert picture(target) == picture(source)


def test_only_what_has_changed_is_asked_for_and_what_is_gone_goes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    make_tree(source)
    transfer(source, target)
    (source / "a" / "x").write_bytes(b"y")
    (source / "deep" / "er" / "run.sh").unlink()
    (source / "deep" / "er").rmdir()
    (source / "link").unlink()
    (source / "link").mkdir()
    (source / "empty").chmod(0o600)
    done = transfer(source, target)
    assert (done.asked, done.size) == (1, 1)
    assert picture(target) == picture(source)


def test_what_is_written_over_is_as_if_it_were_new(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in ("shorter", "longer", "emptied", "plain", "twin"):
        (source / name).write_text("first words\n")
    (source / "plain").chmod(0o4755)
    os.setxattr(source / "plain", "user.colour", b"red")
    os.link(source / "twin", source / "twin2")
    transfer(source, target)
    assert os.listxattr(target / "plain") == ["user.colour"]
    twin = os.open(target / "twin", os.O_RDONLY)
    (source / "shorter").write_text("1")
    (source / "longer").write_text("first words and many more\n")
    (source / "emptied").write_text("")
    os.removexattr(source / "plain", "user.colour")
    (source / "plain").write_text("other words\n")
    (source / "plain").chmod(0o600)
    (source / "twin2").unlink()
    (source / "twin").write_text("not for both\n")
    transfer(source, target)
    assert picture(target) == picture(source)
    assert os.listxattr(target / "plain") == []
    assert os.read(twin, 100) == b"first words\n"  # it had two names: it is another file now
    os.close(twin)


def test_who_keeps_a_folder_of_their_own_gets_new_files(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
        (folder / "result").write_text(folder.name)
    with open(target / "result", encoding="utf-8") as reader:
        transfer(source, target, keep=True)
        assert reader.read() == "target"
    assert (target / "result").read_text() == "source"


def test_a_folder_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    """The build that ran in between must not redirect what the next one writes."""
    source, target, outside = tmp_path / "source", tmp_path / "target", tmp_path / "outside"
    make_tree(source)
    transfer(source, target)
    outside.mkdir()
    (outside / "x").write_text("precious")
    (target / "a" / "x").unlink()
    (target / "a").rmdir()
    (target / "a").symlink_to(outside)
    transfer(source, target)
    assert (outside / "x").read_text() == "precious"
    assert picture(target) == picture(source)


def test_patterns_choose_what_is_sent_and_folders_come_with_what_is_in_them(tmp_path: Path) -> None:
    source = tmp_path / "source"
    make_tree(source)
    (source / "none" / "of").mkdir(parents=True)

    def chosen(include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> list[bytes]:
        return [said.path for said in Tree(str(source), Choice(include, exclude)).walk()]

    assert chosen(("deep/*/run.sh",)) == [b"deep", b"deep/er", b"deep/er/run.sh"]
    assert chosen(("a",)) == [b"a", b"a/x"]
    assert chosen(("a", "deep"), ("**/x", "deep/er")) == [b"a", b"deep"]
    assert chosen((), ("*", "!deep/er/run.sh")) == [b"deep", b"deep/er", b"deep/er/run.sh"]


def test_links_are_followed_inside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "Dockerfile").touch()
    (tmp_path / "other").symlink_to("/real")
    (tmp_path / "up").symlink_to("../../../etc/passwd")
    (tmp_path / "loop").symlink_to("loop")
    assert follow(str(tmp_path), ["other/Dockerfile", "up", "loop", "re*/D*", "missing"]) == [
        "etc/passwd", "loop", "missing", "other", "real/Dockerfile", "up",
    ]  # fmt: skip


def test_what_is_followed_to_the_root_is_everything(tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(".")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/up").symlink_to("..")
    for path in ("here", "a/up", "/", "a/../here"):
        assert follow(str(tmp_path), ["a/x", path]) == []
    assert follow(str(tmp_path), ["a/up/a"]) == ["a", "a/up"]
    assert follow(str(tmp_path), ["a/gone*"]) == ["a/gone*"]  # and not everything


@pytest.mark.parametrize("name", ["z*", "[q]", "b\\s", "q?", " x ", "!x", "x\t", " ", "a!"])
@pytest.mark.parametrize("pattern", ["*", "a-link"])
def test_a_name_that_looks_like_a_pattern_is_followed_as_a_name(
    tmp_path: Path, name: str, pattern: str
) -> None:
    (tmp_path / name).touch()
    (tmp_path / "a-link").symlink_to(name)
    choice = Choice(follow(str(tmp_path), [pattern]))
    sent = {said.path for said in Tree(str(tmp_path), choice).walk()}
    assert sent == {os.fsencode(name), b"a-link"}


# A sender that wants out


def regular(path: bytes, **more: object) -> Stat:
    return Stat(path=path, mode=0o644, size=1, **more)  # type: ignore[arg-type]


def folder(path: bytes) -> Stat:
    return Stat(path=path, mode=fsutil.DIR | 0o755)


def link(path: bytes, to: bytes) -> Stat:
    return Stat(path=path, mode=fsutil.SYMLINK | 0o777, linkname=to)


HOSTILE: dict[str, list[Stat]] = {
    "up": [regular(b"../x")],
    "up from within": [folder(b"a"), regular(b"a/../../x")],
    "absolute": [regular(b"/etc/x")],
    "dot": [regular(b"./x")],
    "zero byte": [regular(b"x\0y")],
    "through a link": [link(b"a", b"/tmp"), regular(b"a/x")],
    "through a link called a folder before": [folder(b"a"), link(b"a", b"/tmp"), regular(b"a/x")],
    "no folder": [regular(b"a/x")],
    "out of order": [regular(b"b"), regular(b"a")],
    "twice": [regular(b"a"), regular(b"a")],
    "hard link up": [regular(b"x", linkname=b"../../etc/passwd")],
    "hard link to nothing": [regular(b"x", linkname=b"y")],
    "hard link to a link": [link(b"a", b"/etc/passwd"), regular(b"x", linkname=b"a")],
    "hard link through a link": [link(b"a", b"/etc"), regular(b"x", linkname=b"a/passwd")],
    "device": [Stat(path=b"d", mode=fsutil.DEVICE | fsutil.CHAR_DEVICE, devmajor=1, devminor=1)],
    "socket": [Stat(path=b"d", mode=fsutil.SOCKET)],
    "two types": [Stat(path=b"d", mode=fsutil.DIR | fsutil.SYMLINK)],
    "nobody's owner": [Stat(path=b"d", mode=fsutil.DIR | 0o755, uid=0xFFFFFFFF), regular(b"e")],
    "deep": [folder(b"/".join([b"a"] * depth)) for depth in range(1, 600)],
    "long": [regular(b"a" * 5000)],
}  # fmt: skip


@pytest.mark.parametrize("story", sorted(HOSTILE))
def test_nothing_leaves_the_folder(tmp_path: Path, story: str) -> None:
    outside = sorted(os.listdir(tmp_path))
    refused(tmp_path, [Packet(type=Kind.STAT, stat=said) for said in HOSTILE[story]])
    assert sorted(set(os.listdir(tmp_path)) - {"target"}) == outside


UNASKED: dict[str, list[Packet]] = {
    "data of nothing": [Packet(type=Kind.DATA, id=7, data=b"x")],
    "data after its end": [
        Packet(type=Kind.STAT, stat=regular(b"a")),
        Packet(type=Kind.DATA, id=0),
        Packet(type=Kind.DATA, id=0, data=b"x"),
    ],
    "stat after the end": [Packet(), Packet(type=Kind.STAT, stat=regular(b"a"))],
    "too early": [Packet(type=Kind.STAT, stat=regular(b"a")), Packet(type=Kind.FIN)],
    "error": [Packet(type=Kind.ERR, data=b"it failed")],
    "unknown": [Packet(type=77)],
    "all at a time": [
        *(Packet(type=Kind.STAT, stat=regular(b"%05d" % n)) for n in range(100)),
        *(Packet(type=Kind.DATA, id=n, data=b"x") for n in range(100)),
    ],
}


@pytest.mark.parametrize("story", sorted(UNASKED))
def test_what_was_not_asked_for_is_refused(tmp_path: Path, story: str) -> None:
    refused(tmp_path, UNASKED[story])


def test_bytes_that_are_no_packet_are_refused(tmp_path: Path) -> None:
    receiver = Receiver(str(tmp_path / "target"), Transferred())
    with pytest.raises(BadTransfer):
        receiver.take([b"\xff\xff\xff"])
    receiver.close()


def refused(tmp_path: Path, packets: list[Packet]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    receiver = Receiver(str(tmp_path / "target"), Transferred())
    try:
        with pytest.raises(BadTransfer):
            receiver.take([packet.SerializeToString() for packet in [*packets, Packet()]])
    finally:
        receiver.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_attributes_that_mean_something_to_the_host_are_not_set(tmp_path: Path) -> None:
    said = Stat(path=b"d", mode=fsutil.DIR | 0o755)
    said.xattrs["trusted.overlay.opaque"] = b"y"
    receiver = Receiver(str(tmp_path / "target"), Transferred())
    packets = [Packet(type=Kind.STAT, stat=said), Packet()]
    receiver.take([packet.SerializeToString() for packet in packets])
    receiver.close()
    assert os.listxattr(tmp_path / "target" / "d") == []


@pytest.mark.parametrize(
    "mode",
    [stat.S_IFREG | 0o4755, stat.S_IFDIR | 0o1777, stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o600,
     stat.S_IFBLK | 0o660, stat.S_IFIFO | 0o644, stat.S_IFSOCK | 0o2755],
)  # fmt: skip
def test_modes_are_the_same_there_and_back(mode: int) -> None:
    assert fsutil.to_unix(fsutil.to_go(mode)) == mode


def test_a_slash_is_lower_than_all() -> None:
    paths = [b"a", b"a/x", b"a.b", b"a0"]
    assert sorted(paths, key=fsutil.order) == paths
