"""The power goes while volumes and containers are made and images built: an engine starts again."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.support import images as made
from tests.support.blocklog import Disk
from tests.support.building import Workshop, workshop
from tests.support.power import CUTS, Diary, History, allowed, cut_at_random, names

from boxship.container.create import Asked
from boxship.errors import NotFound
from boxship.image import bootstrap
from boxship.image.errors import NoSuchImage
from boxship.snapshot.drivers import layerfile
from boxship.spec.engine.common import Mount
from boxship.spec.engine.container import ContainerConfig, HostConfig

pytestmark = pytest.mark.root
NUMBER = 970
LABELS = {"kept": "with its labels"}
TMPFS = {"type": "tmpfs", "device": "tmpfs"}
FILES = {"a": random.Random("a").randbytes(90_000), "v/own": b"the image's"}
BASE = made.archive(*((name, data, {}) for name, data in FILES.items()))

Story = Callable[[Workshop], Awaitable[None]]


def tell(root: Path, number: int, story: Story) -> None:
    """Run a story with an engine whose data is on the disk."""

    async def whole() -> None:
        async with workshop(NUMBER + number, root) as shop:
            await story(shop)

    asyncio.run(whole())


def after_a_boot() -> None:
    layerfile.this_boot = lambda: "the boot after the power cut"


def read(shop: Workshop, key: str, path: str) -> bytes:
    root = shop.builder.filesystems._snapshots.open(key)
    try:
        with open(os.open(path, os.O_RDONLY, dir_fd=root), "rb") as file:
            return file.read()
    finally:
        os.close(root)


def asked(name: str) -> Asked:
    mounts = [Mount(type="volume", source=f"of-{name}", target="/v")]
    config = ContainerConfig(image="base:1", cmd=["/x"], volumes={"/anonymous": {}})
    return Asked(config, HostConfig(mounts=mounts), {}, name)


@CUTS
def test_a_power_cut_leaves_volumes_and_containers_whole_or_absent(
    tmp_path: Path, many: int, seed: int
) -> None:
    """R2.1 and R2.2. A volume that is acknowledged is there, with its labels and options."""

    def worked(disk: Disk) -> History:
        diary = Diary(disk.position)

        async def story(shop: Workshop) -> None:
            shop.engine.images.load([made.docker_archive([BASE], tags=("base:1",))])
            for name in ("one", "two", "three"):
                with diary.noting(f"volume {name}"):
                    shop.engine.volumes.create(name, "", TMPFS, LABELS)
                with diary.noting(f"container {name}"):
                    await shop.engine.containers.create(asked(name))
            with diary.noting("container two", there=False):
                await shop.engine.containers.remove("two", volumes=True)
            with diary.noting("volume four"):
                shop.engine.volumes.create("four", "", TMPFS, LABELS)

        tell(disk.mounted, 0, story)
        return diary.done

    def recovered(point: Path, at: int, history: History) -> None:
        after_a_boot()

        async def story(shop: Workshop) -> None:
            for name in names(history):
                kind, _, own = name.partition(" ")
                there = volume(shop, own) if kind == "volume" else container(shop, own)
                if kind == "volume":
                    assert there in allowed(name, at, history), f"{name}: {there}, cut at {at}"
            known = {cell.id for cell in shop.engine.containers.registry}
            assert {*os.listdir(point / "data" / "containers")} == known
            for name in ("one", "two", "three"):
                if not container(shop, name):
                    shop.engine.images.load([made.docker_archive([BASE], tags=("base:1",))])
                    await shop.engine.containers.create(asked(name))
                    assert container(shop, name)

        tell(point, 0, story)

    cut_at_random(tmp_path, many, seed, worked, recovered)


def volume(shop: Workshop, name: str) -> bool:
    """Whether there is a volume; and then it is as it was asked for."""
    try:
        found = shop.engine.volumes.get(name)
    except NotFound:
        return False
    assert found.labels == LABELS
    assert found.options == TMPFS
    assert os.path.isdir(found.mountpoint)
    return True


def container(shop: Workshop, name: str) -> bool:
    """Whether there is a container; and then it has its image's files, and its volumes."""
    try:
        cell = shop.engine.containers.find(name)
    except NotFound:
        return False
    assert read(shop, cell.id, "a") == FILES["a"]
    for point in cell.record.mounts:
        assert os.path.isdir(shop.engine.volumes.get(point.name).mountpoint)
    return True


TEXT = """
FROM busybox AS made
RUN mkdir /d; for n in 1 2 3 4 5 6 7 8; do echo $n; done > /d/x; dd if=/d/x of=/big bs=1 seek=200000
RUN echo two > /two; rm /d/x
FROM scratch
COPY --from=made /d /two /out/
COPY --from=made /big /
"""


@CUTS
def test_a_power_cut_leaves_a_build_whole_or_absent_and_its_cache_right(
    tmp_path: Path, many: int, seed: int
) -> None:
    """R2.1 and R2.2; the next build is right, whatever of the cache has outlasted the cut."""

    def worked(disk: Disk) -> History:
        diary = Diary(disk.position)

        async def story(shop: Workshop) -> None:
            host = shop.engine.parts[bootstrap.Host]
            assert isinstance(host, bootstrap.Host)
            await asyncio.to_thread(
                bootstrap.bootstrap, shop.engine.images, "busybox", host, lambda *_: None
            )
            with diary.noting("built:1"):
                await shop.dockerfile(TEXT, tags=("built:1",))
            with diary.noting("built:2"):
                await shop.dockerfile(TEXT + "COPY --from=made /two /again\n", tags=("built:2",))

        tell(disk.mounted, 1, story)
        return diary.done

    def recovered(point: Path, at: int, history: History) -> None:
        after_a_boot()

        async def story(shop: Workshop) -> None:
            for name in names(history):
                there = built(shop, name)
                assert there in allowed(name, at, history), f"{name}: {there}, cut at {at}"
            await shop.dockerfile(TEXT, tags=("built:1",))
            assert built(shop, "built:1")
            assert len(shop.read("built:1", "/big")) == 200_016

        tell(point, 1, story)

    cut_at_random(tmp_path, many, seed, worked, recovered)


def built(shop: Workshop, name: str) -> bool:
    """Whether there is an image; and then its files are right."""
    try:
        image = shop.engine.images.get(name)
    except NoSuchImage:
        return False
    shop.engine.images.ensure_unpacked(image)
    assert shop.read(name, "/out/two") == b"two\n"
    assert shop.read(name, "/big")[-4:] == b"7\n8\n"
    if name == "built:2":
        assert shop.read(name, "/again") == b"two\n"
    return True
