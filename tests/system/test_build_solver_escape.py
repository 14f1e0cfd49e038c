"""Steps and graphs that try to reach what is not theirs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path

import pytest
from tests.support.building import Heard, Workshop, copy, image, run
from tests.support.stories import tell
from tests.system.test_build_solver import folder

from boxship.build import ops
from boxship.build.errors import BuildFailed
from boxship.build.ops import (
    Action,
    Bind,
    Cache,
    Copy,
    Delete,
    Exec,
    Files,
    MakeFile,
    MakeFolder,
    MakeLink,
    Owner,
    Ref,
    Vertex,
)
from boxship.errors import BoxshipError


def made(
    *does: ops.MakeFile | ops.MakeFolder | ops.MakeLink | ops.Delete, base: Ref | None = None
) -> Ref:
    """Changes, one after the other."""
    inputs = () if base is None else (base,)
    count = len(inputs)
    actions = [
        Action(
            one,
            (0 if base else ops.SCRATCH) if at == 0 else count + at - 1,
            output=0 if at == len(does) - 1 else ops.NO_OUTPUT,
        )
        for at, one in enumerate(does)
    ]
    return Ref(Vertex(Files(tuple(actions)), inputs))


def test_mount_points_are_taken_out_without_following_links(tmp_path: Path) -> None:
    """CVE-2024-23652: the folder above a mount point becomes a link to the host's files."""
    canary = tmp_path / "stub"
    canary.mkdir()
    (canary / "file").touch()

    async def story(shop: Workshop) -> None:
        step = run(
            image("busybox"),
            f"umount /a/stub /a/stub/file; mv /a /b; ln -s {tmp_path} /a; ls / > /seen",
            mounts=(Cache("/a/stub", "one"), ops.Tmpfs("/a/other/deep")),
        )
        await shop.build(step, tags=("t:1",))
        assert (canary / "file").exists()
        assert b"seen" in shop.read("t:1", "/seen")

    tell(story, 20)


def test_parts_of_mounts_stay_inside(tmp_path: Path) -> None:
    """CVE-2024-23651, CVE-2024-1753: sources that are links to the host, or change meanwhile."""
    (tmp_path / "canary").write_text("host")

    async def story(shop: Workshop) -> None:
        evil = made(
            MakeLink(str(tmp_path), "/out"),
            MakeLink("/", "/root"),
            MakeFolder("/tmp"),
        )
        for source in ("/out", "/root/../..", "/../../../../" + str(tmp_path), "/out/canary"):
            step = run(
                image("busybox"),
                "ls -R /m > /seen",
                mounts=(Bind("/m", 1, source, readonly=True),),
                inputs=(evil,),
            )
            try:
                await shop.build(step, tags=("t:1",))
            except BuildFailed:
                continue
            assert b"canary" not in shop.read("t:1", "/seen")
        swap = (
            "while [ ! -e /c/stop ]; do rm -rf /c/x; "
            f"ln -s {tmp_path} /c/x; rm /c/x; mkdir /c/x; done"
        )
        swapping = asyncio.create_task(
            shop.build(run(image("busybox"), swap, mounts=(Cache("/c", "shared"),)), exports=())
        )
        for number in range(30):
            step = run(
                image("busybox"),
                f": {number}; ls /m",
                mounts=(Cache("/m", "shared", selector="x"),),
            )
            heard = Heard()
            with contextlib.suppress(BuildFailed):  # there is nothing just now
                await shop.build(step, heard, exports=())
            assert "canary" not in heard.output
        await shop.build(
            run(image("busybox"), "touch /c/stop", mounts=(Cache("/c", "shared"),)), exports=()
        )
        await swapping

    tell(story, 21)


def test_files_are_changed_beneath_the_result_only(tmp_path: Path) -> None:
    """CVE-2026-33747 and its like: `..`, links and absolute paths in every kind of action."""
    (tmp_path / "canary").write_text("host")
    (tmp_path / "context").mkdir()
    (tmp_path / "context/f").write_text("f")
    (tmp_path / "context/escape").symlink_to("/" + "../" * 8 + str(tmp_path))
    canary = str(tmp_path / "canary")

    async def story(shop: Workshop) -> None:
        context = folder(tmp_path / "context", shop)
        linked = made(MakeLink(str(tmp_path), "/l"), MakeLink("/" + "../" * 9, "/up"))
        for does in (
            MakeFile("/l/new", b"x"),
            MakeFile("/../../../.." + str(tmp_path) + "/new", b"x"),
            MakeFolder("/l/new/deep", parents=True),
            MakeFolder("/up/" + str(tmp_path) + "/new", parents=True),
            MakeLink("/x", "/l/new"),
            Delete("/l/canary", allow_missing=True),
            Delete("/up/" + canary, allow_missing=True),
            Delete("/l/*", wildcard=True),
            Delete("/../../" + canary, allow_missing=True),
        ):
            try:
                await shop.build(made(does, base=linked), exports=())
            except BuildFailed:
                pass
        for path, target in (
            ("/f", "/l/"),
            ("/f", "/up/" + str(tmp_path) + "/"),
            ("/f", "/../../../.." + str(tmp_path) + "/new"),
            ("/escape/canary", "/got"),
            ("/../canary", "/got"),
            ("/escape", "/got/"),
        ):
            try:
                await shop.build(copy(linked, context, path, target), tags=("t:1",))
            except BuildFailed:
                continue
            for got in ("/got", "/got/canary"):
                try:
                    assert shop.read("t:1", got) != b"host"
                except OSError:
                    pass
        assert (tmp_path / "canary").read_text() == "host"
        assert sorted(os.listdir(tmp_path)) == ["canary", "context"]
        for bad in (made(Delete("/")), made(MakeFile("/", b""))):
            with pytest.raises(BuildFailed):
                await shop.build(bad)

    tell(story, 22)


def test_graphs_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """CVE-2024-23650: numbers out of range, results that do not exist, unknown sources."""
    dice = random.Random(4)

    async def story(shop: Workshop) -> None:
        base = image("busybox")
        for _ in range(60):
            n = [dice.choice((-9, -2, -1, 0, 1, 2, 7)) for _ in range(4)]
            op = dice.choice(
                (
                    Files((Action(Copy("/a", "/b"), n[0], n[1], n[2]),)),
                    Files(
                        (Action(MakeFile("/a", b"", owner=Owner("x", names=n[3])), n[0], output=0),)
                    ),
                    Exec(
                        ("/bin/true",),
                        mounts=(Bind("/", n[0], output=n[1]), Cache("/c", "i", input=n[2])),
                    ),
                )
            )
            with contextlib.suppress(BoxshipError):  # and nothing else
                await shop.build(Ref(Vertex(op, (base,)), n[3]), exports=())

    tell(story, 23)
