"""The disk fails at some write: a clear error, nothing half-made, and an engine that goes on.

R2.4. A write that fails is EIO; a file system whose journal could not be written takes none any
more, EROFS. What is found after a repair is what was acknowledged, and nothing half-made.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.support import images as made
from tests.support.blocklog import FOR_EVER, Disk, attached
from tests.support.building import Workshop, workshop
from tests.support.children import in_child
from tests.support.faulty_registry import FaultyRegistry
from tests.support.pulling import QUICK
from tests.support.registry_server import OCI_MANIFEST, manifest

from boxship.container.create import Asked
from boxship.distribution.auth import ANONYMOUS
from boxship.distribution.pool import Pool
from boxship.errors import BoxshipError
from boxship.image.pull import Pulls
from boxship.registry.errors import BlobUnknown
from boxship.registry.names import Digest as Named
from boxship.registry.names import Name, Tag
from boxship.registry.service import Policy, Service
from boxship.registry.storage.filesystem import Filesystem
from boxship.snapshot.drivers import layerfile
from boxship.spec.digest import Digest
from boxship.spec.engine.container import ContainerConfig, HostConfig
from boxship.spec.reference import Reference

pytestmark = pytest.mark.root
NUMBER = 977
SIZE = 64 << 20
CLEAR = (
    "disk quota exceeded",
    "the quota is used up",
    "no space left on device",
    "input/output error",
    "read-only file system",
    "the disk does not answer properly",  # the registry's words
)
LAYERS = [
    made.archive(*((f"{n}/{m}", random.Random(n * 9 + m).randbytes(90_000), {}) for m in range(4)))
    for n in range(4)
]
TEXT = "FROM base:1\nCOPY --from=base:1 /0/1 /copied\nCOPY --from=base:1 /0/2 /again\n"
PUSHED, CONFIG = Name("a/b"), b'{"architecture":"amd64","os":"linux"}'


class Story:
    """What is done, one thing after the other; `outcomes` says what became of each."""

    def __init__(self, shop: Workshop, disk: Path, registry: str) -> None:
        self.shop, self.disk, self.registry = shop, disk, registry
        self.images = shop.engine.images
        self.outcomes: dict[str, str] = {}

    def base(self) -> None:
        self.images.load([made.docker_archive([LAYERS[0]], tags=("base:1", "other:1"))])

    async def load(self) -> None:
        archive = made.docker_archive([LAYERS[0], LAYERS[1]], tags=("loaded:1",))
        await asyncio.to_thread(self.images.load, [archive])

    async def pull(self) -> None:
        pool = Pool(QUICK)
        pulls = Pulls(self.images, self.images._blobs, self.images._snapshots, pool)
        try:
            await pulls.pull(Reference.parse(self.registry), ANONYMOUS, lambda told: None)
        finally:
            pulls.close()
            await pool.close()

    async def push(self) -> None:
        """To a registry on this disk; the engine writes nothing for it."""
        service = Service(Filesystem(str(self.disk / "registry")), Policy())
        for data in (LAYERS[0], LAYERS[3], CONFIG):
            upload = service.uploads.begin(PUSHED)
            try:
                upload.append([data])
                service.uploads.finish(upload, Named.of(data))
            finally:
                service.uploads.cancel(upload)
        service.manifests.put(PUSHED, Tag("1"), self.document(), OCI_MANIFEST)

    def document(self) -> bytes:
        return str(manifest(CONFIG, [LAYERS[0], LAYERS[3]])).replace("'", '"').encode()

    async def tag(self) -> None:
        await asyncio.to_thread(self.images.tag, "base:1", "tagged:1")

    async def rm(self) -> None:
        await asyncio.to_thread(self.images.remove, "other:1")

    async def commit(self) -> None:
        base = self.images.get("base:1")
        await asyncio.to_thread(
            self.images.commit, base, [LAYERS[2]], base.config.config, name="committed:1"
        )

    async def build(self) -> None:
        await self.shop.dockerfile(TEXT, tags=("built:1",))

    async def container(self) -> None:
        config = ContainerConfig(image="base:1", cmd=["/x"])
        await self.shop.engine.containers.create(Asked(config, HostConfig(), {}, "made"))

    async def volume(self) -> None:
        create = self.shop.engine.volumes.create
        await asyncio.to_thread(create, "made", "", {}, {"kept": "label"})

    def operations(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "load": self.load,
            "tag": self.tag,
            "pull": self.pull,
            "volume": self.volume,
            "container": self.container,
            "commit": self.commit,
            "build": self.build,
            "push": self.push,
            "rm": self.rm,
        }

    async def told(self) -> None:
        """Do it all; what fails must say clearly why, and the next is tried all the same."""
        for name, does in self.operations().items():
            try:
                await does()
                self.outcomes[name] = "done"
            except (BoxshipError, OSError) as error:
                clear = any(word in str(error).lower() for word in CLEAR)
                self.outcomes[name] = "refused" if clear else f"failed: {error!r}"
        self.alive()

    def alive(self) -> None:
        """It still answers."""
        assert "base:1" in {n.rpartition("/")[2] for i in self.images.list() for n in i.names}
        self.shop.engine.volumes.list()

    def there(self) -> dict[str, bool]:
        """Which of it is there; all that is there is whole."""
        names = {n.rpartition("/")[2] for i in self.images.list() for n in i.names}
        for image in self.images.list():
            for digest in image.content:
                data = b"".join(self.images._blobs.chunks(digest))
                assert Digest.of(data) == digest, f"{digest} of {image.names}"
            self.images.ensure_unpacked(image)
        containers = {cell.record.name for cell in self.shop.engine.containers.registry}
        volumes = {volume.name for volume in self.shop.engine.volumes.list()}
        found = {
            "load": "loaded:1" in names,
            "tag": "tagged:1" in names,
            "pull": "pulled:1" in names,
            "commit": "committed:1" in names,
            "build": "built:1" in names,
            "rm": "other:1" not in names,
            "container": "made" in containers,
            "volume": "made" in volumes,
            "push": self.pushed(),
        }
        if found["build"]:
            data = random.Random(1).randbytes(90_000)
            assert self.shop.read("built:1", "/copied") == data
        if found["container"]:
            (cell,) = self.shop.engine.containers.registry
            os.close(self.images._snapshots.open(cell.id))
        return found

    def pushed(self) -> bool:
        if not (self.disk / "registry").exists():
            return False
        service = Service(Filesystem(str(self.disk / "registry")), Policy())
        for digest in service.blobs.all_of(PUSHED):
            try:
                content = service.blobs.open(PUSHED, digest)
            except BlobUnknown:  # the disk has lost it, and clients are told so
                return False
            assert Named.of(content.read(0, content.size)) == digest
            content.close()
        return service.manifests.all_tags(PUSHED) == ["1"]


def tell(
    disk: Path, registry: str, number: int, told: Callable[[Story], Awaitable[None]]
) -> dict[str, str]:
    """Tell a story with an engine whose data is on the disk."""

    async def whole() -> dict[str, str]:
        async with workshop(number, disk) as shop:
            story = Story(shop, disk, registry)
            await told(story)
            return story.outcomes

    return asyncio.run(whole())


LONG = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("rounds", [2, pytest.param(25, marks=LONG)])
@pytest.mark.parametrize(("many", "number"), [(1, NUMBER), (FOR_EVER, NUMBER + 1)])
def test_a_disk_that_fails_at_some_write(
    tmp_path: Path, many: int, number: int, rounds: int
) -> None:
    chance = random.Random(many)
    with FaultyRegistry() as registry:
        registry.add("a/pulled", "1", [LAYERS[0], LAYERS[3]])
        name = f"{registry.host}/a/pulled:1"
        last, refused = 60, 0
        for turn in range(rounds):
            folder = tmp_path / str(turn)
            folder.mkdir()
            after = chance.randrange(last)
            outcomes, last = failed(folder, name, number, after, many)
            assert {*outcomes.values()} <= {"done", "refused"}, outcomes
            refused += list(outcomes.values()).count("refused")
            mended(folder, name, number, outcomes)
    assert refused or many == 1


def failed(
    folder: Path, name: str, number: int, after: int, many: int
) -> tuple[dict[str, str], int]:
    """Tell the story on a disk that fails; return what became of it, and how much was written."""
    disk = Disk(folder, SIZE)

    async def told(story: Story) -> None:
        story.base()
        story.images._snapshots.settle()
        begun = disk.position()
        disk.fail(begun + after, many)
        try:
            await story.told()
        finally:
            (folder / "written").write_text(str(disk.position() - begun))
            disk.fail(FOR_EVER)
            flush = ["sync", "-f", disk.mounted]
            await asyncio.to_thread(subprocess.run, flush, capture_output=True, check=False)

    with disk:
        outside = folder / "x"
        outside.mkdir()
        (disk.mounted / "x").symlink_to(outside)
        outcomes = in_child(lambda: tell(disk.mounted, name, number, told))
    return outcomes, max(int((folder / "written").read_text()), after + 1)


def mended(folder: Path, name: str, number: int, outcomes: dict[str, str]) -> None:
    """Repair the disk; all that was acknowledged is there, and the rest can be done again."""
    checked = subprocess.run(["e2fsck", "-fy", folder / "disk"], capture_output=True, check=False)
    assert checked.returncode in (0, 1), checked.stdout
    layerfile_boot = layerfile.this_boot

    def after_a_boot() -> None:
        layerfile.this_boot = lambda: layerfile_boot() + "-the next"
        tell(folder / "mounted", name, number, lambda story: again(story, outcomes))

    with attached(folder / "disk", folder / "mounted"):
        in_child(after_a_boot)


async def again(story: Story, outcomes: dict[str, str]) -> None:
    """What was acknowledged is there, and nothing half-made; then do what is not there."""
    there = story.there()
    for what, outcome in outcomes.items():
        if what != "container":  # which need not outlast the machine
            assert there[what] or outcome != "done", f"{what} was acknowledged and is lost"
    for what, does in story.operations().items():
        if not there[what]:
            await does()
    assert all(story.there().values())
    assert [*story.images.leftovers()] == []


QUOTAS = shutil.which("mkfs.btrfs") and shutil.which("btrfs")


@pytest.mark.skipif(not QUOTAS, reason="no btrfs programs, and a quota of ext4 is not for root")
@pytest.mark.parametrize("step", [700 << 10, pytest.param(100 << 10, marks=LONG)])
def test_a_quota_that_is_used_up(tmp_path: Path, step: int) -> None:
    """EDQUOT with every amount of room in steps; with the quota lifted all can be done."""
    with FaultyRegistry() as registry:
        registry.add("a/pulled", "1", [LAYERS[0], LAYERS[3]])
        name = f"{registry.host}/a/pulled:1"
        refused = 0
        for room in range(0, 3 << 20, step):
            folder = tmp_path / str(room)
            folder.mkdir()
            outcomes = under_quota(folder, name, room)
            assert {*outcomes.values()} <= {"done", "refused"}, outcomes
            refused += list(outcomes.values()).count("refused")
        assert refused


def under_quota(folder: Path, name: str, room: int) -> dict[str, str]:
    image, point = folder / "image", folder / "point"
    image.touch()
    os.truncate(image, 256 << 20)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True)
    point.mkdir()
    (folder / "x").mkdir()

    def btrfs(*words: str) -> str:
        done = subprocess.run(["btrfs", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def work() -> dict[str, str]:
        place = point / "root"
        btrfs("quota", "enable", str(point))
        btrfs("subvolume", "create", str(place))
        (place / "x").symlink_to(folder / "x")

        async def told(story: Story) -> None:
            story.base()
            await asyncio.to_thread(limit, str(room))
            await story.told()
            await asyncio.to_thread(limit, "none")
            await again(story, story.outcomes)

        def limit(room: str) -> None:
            subprocess.run(["sync", "-f", place], check=True)
            group, used, *_ = (
                btrfs("qgroup", "show", "--raw", "-f", str(place)).split("\n")[2].split()
            )
            most = room if room == "none" else str(int(used) + int(room))
            btrfs("qgroup", "limit", most, group, str(point))  # by a path that has no limit

        return tell(place, name, NUMBER + 2, told)

    with attached(image, point, "btrfs"):
        return in_child(work)
