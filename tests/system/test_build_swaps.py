"""Mounts of builds whose sources and targets somebody exchanges while they are set up."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from tests.support.building import Heard, Workshop, image, run
from tests.support.stories import tell
from tests.support.swapping import swapping

from boxship.build import ops
from boxship.build.cache.record import Kind
from boxship.build.errors import BuildFailed
from boxship.build.ops import Bind, Cache, Ref, Source, Vertex

LONG = (pytest.mark.slow, pytest.mark.timeout(3600))
ROUNDS = pytest.mark.parametrize("rounds", [50, pytest.param(1000, marks=LONG)], ids=str)
SHOW = "ls -R /m /c 2>&1; cat /m/canary /c/x/canary 2>&1; touch /m/written /c/x/written; true"


def bait(folder: Path, host: Path) -> None:
    """Lay out a folder `x` and a link `y` that leads to the host's files."""
    (folder / "x").mkdir()
    (folder / "x/inside").write_text("inside")
    (folder / "y").symlink_to(host)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder of the host's that no build may see or change."""
    path = tmp_path / "host"
    (path / "below").mkdir(parents=True)
    (path / "canary").write_text("of the host")
    return path


def seen(host: Path) -> list[tuple[str, float]]:
    paths = [host, *sorted(host.rglob("*"))]
    return [(str(path), path.stat().st_mtime) for path in paths]


async def race(
    shop: Workshop, bait_at: Path, host: Path, rounds: int, *mounts: ops.Mount, inputs: list[Ref]
) -> set[bool]:
    """Build with the mounts again and again; return which ends there were: True for success."""
    before, ends = seen(host), set()
    with swapping(bait_at / "x", bait_at / "y"):
        for number in range(rounds):
            heard = Heard()
            step = run(image("busybox"), f": {number}; {SHOW}", mounts=mounts, inputs=inputs)
            with contextlib.suppress(BuildFailed):  # what is there just now cannot be mounted
                ends.add(False)
                await shop.build(step, heard, exports=())
                ends.add(True)
            assert "of the host" not in heard.output
            assert "canary" not in heard.output.replace("'/m/canary'", "").replace(
                "'/c/x/canary'", ""
            )
    assert seen(host) == before
    return ends


def cache_folder(shop: Workshop, name: str) -> Path:
    folders = shop.builder.folders
    (found,) = (f for f in folders.all(Kind.CACHE_MOUNT, name))
    return Path(folders.path(found))


@ROUNDS
def test_sec_60_the_source_of_a_cache_mount_is_swapped(host: Path, rounds: int) -> None:
    async def story(shop: Workshop) -> None:
        made = run(image("busybox"), ":", mounts=(Cache("/c", "swapped"),))
        await shop.build(made, exports=())
        place = cache_folder(shop, "swapped")
        bait(place, host)
        ends = await race(
            shop, place, host, rounds, Cache("/m", "swapped", selector="x"), inputs=[]
        )
        assert True in ends
        if rounds > 100:
            assert False in ends  # the link was met, and led nowhere

    tell(story, 30)


@ROUNDS
def test_sec_09_the_targets_of_mounts_within_a_mount_are_swapped(host: Path, rounds: int) -> None:
    """Nothing is mounted on the host's files, and no mount point made among them."""

    async def story(shop: Workshop) -> None:
        made = run(image("busybox"), ":", mounts=(Cache("/c", "around"),))
        await shop.build(made, exports=())
        place = cache_folder(shop, "around")
        bait(place, host)
        await race(
            shop, place, host, rounds,
            Cache("/c", "around"), ops.Tmpfs("/c/x/deep/er"), Cache("/c/x/below", "other"),
            inputs=[],
        )  # fmt: skip

    tell(story, 31)


@ROUNDS
def test_sec_64_the_source_of_a_bind_mount_is_swapped(host: Path, rounds: int) -> None:
    """A client's folder that changes beneath the build, which no client can do this fast."""

    async def story(shop: Workshop) -> None:
        with shop.builder.contexts.new() as (identifier, path):
            bait(Path(path), host)
            context = Ref(Vertex(Source(identifier)))
            for write in (False, True):
                mount = Bind("/m", 1, "/x", readonly=not write)
                await race(shop, Path(path), host, rounds // 2, mount, inputs=[context])

    tell(story, 32)
