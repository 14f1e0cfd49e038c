"""Each way in which content comes finds the disk full, with every amount of room in steps.

R2.4: a clear error, nothing half-made, and the next try works.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from tests.support import images as made
from tests.support.building import Workshop, workshop
from tests.support.children import in_child
from tests.support.faulty_registry import FaultyRegistry
from tests.support.fulldisk import only, refused, with_less_and_less
from tests.support.pulling import Puller
from tests.support.registry_server import OCI_MANIFEST, manifest

from boxship.errors import BoxshipError
from boxship.image import bootstrap
from boxship.image.transfers import Transfers
from boxship.registry.names import Digest as Named
from boxship.registry.names import Name, Tag
from boxship.registry.service import Policy, Service
from boxship.registry.storage.filesystem import Filesystem
from boxship.spec.digest import Digest
from boxship.spec.reference import Reference

pytestmark = pytest.mark.root
BYTES = os.urandom(1 << 20)
ONE = made.archive(*((f"one/{n}", BYTES[n:], {}) for n in range(2)))
TWO = made.archive(("two/a", BYTES[9:], {}), ("two/b", b"small", {}))
NUMBER = 974


def all_of_it(engine: made.Engine) -> tuple[object, ...]:
    names = sorted(name for image in engine.images.list() for name in image.names)
    return names, engine.stored()


def test_a_pull_that_finds_no_room_leaves_nothing(small: Path) -> None:
    with FaultyRegistry() as registry:
        registry.add("a/b", "1", [ONE, TWO])
        name = f"{registry.host}/a/b:1"

        def pulled() -> int:
            puller = Puller(small)
            return with_less_and_less(
                small,
                10 << 20,
                700 << 10,
                lambda: puller.pull(name),
                lambda: all_of_it(puller.engine),
                lambda: puller.engine.images.remove(name),
            )

        assert in_child(pulled) >= 3


def test_a_commit_that_finds_no_room_leaves_nothing(small: Path) -> None:
    def committed() -> int:
        engine = made.Engine(small)
        engine.images.load([made.docker_archive([TWO], tags=("base:1",))])
        base = engine.images.get("base:1")
        engine.snapshots.prepare("key", base.chain_id)
        root = engine.snapshots.open("key")
        with open(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=root), "wb") as file:
            file.write(BYTES)
        os.close(root)
        return with_less_and_less(
            small,
            5 << 20,
            400 << 10,
            lambda: engine.images.commit(
                base, engine.snapshots.diff("key"), base.config.config, name="made:1"
            ),
            lambda: (all_of_it(engine), engine.snapshots.keys()),
            lambda: engine.images.remove("made:1"),
        )

    assert in_child(committed) >= 3


def test_an_image_that_is_sent_and_finds_no_room_leaves_nothing(small: Path) -> None:
    def received() -> int:
        engine = made.Engine(small)
        transfers = Transfers(engine.images, engine.blobs, engine.snapshots)
        config = made.config([ONE, TWO])
        top = made.manifest(config, [ONE, TWO])

        def send() -> None:
            try:
                with transfers.use("t") as transfer:
                    for data in (ONE, TWO, config):
                        digest = Digest.of(data)
                        if transfer.size(digest) is None:
                            transfer.take([data], digest)
                        transfer.guess(digest)
                    kind = made.OCI + "manifest.v1+json"
                    transfer.finish(transfer.take_manifest(top, kind), Reference.parse("sent:1"))
            finally:
                transfers.end("t")

        try:
            return with_less_and_less(
                small,
                10 << 20,
                350 << 10,
                send,
                lambda: all_of_it(engine),
                lambda: engine.images.remove("sent:1"),
            )
        finally:
            transfers.close()

    assert in_child(received) >= 3


TEXT = """
FROM busybox
RUN dd if=/dev/zero of=/one bs=1024 count=1500
RUN mkdir /d; cp /one /d/two
COPY --from=busybox /bin/busybox /again
"""


def test_a_build_that_finds_no_room_says_so_and_the_next_is_right(small: Path) -> None:
    """What was built until then may stay in the cache; a process sees the full disk itself."""

    async def story(shop: Workshop) -> int:
        host = shop.engine.parts[bootstrap.Host]
        assert isinstance(host, bootstrap.Host)
        await asyncio.to_thread(
            bootstrap.bootstrap, shop.engine.images, "busybox", host, lambda *_: None
        )
        refusals = 0
        for free in range(0, 9 << 20, 900 << 10):
            failed = ""
            with only(small, free):
                try:
                    await shop.dockerfile(TEXT, tags=("built:1",))
                except (BoxshipError, OSError) as error:
                    failed = str(error).lower()
            if failed:
                refusals += 1
                assert "no space left on device" in failed or "did not complete" in failed
                assert all("built:1" not in image.names for image in shop.engine.images.list())
            assert not os.listdir(shop.engine.images._blobs._arriving)
            assert [k for k in shop.builder.filesystems._snapshots.keys() if "build-" in k] == []  # noqa: SIM118
            await shop.dockerfile(TEXT, tags=("built:1",))
            assert len(shop.read("built:1", "/d/two")) == 1500 << 10
            assert shop.read("built:1", "/again") == shop.read("built:1", "/bin/busybox")
            await asyncio.to_thread(shop.engine.images.remove, "built:1")
            await shop.builder.cache.prune({}, everything=True)
        return refusals

    async def whole() -> int:
        async with workshop(NUMBER, small) as shop:
            return await story(shop)

    assert in_child(lambda: asyncio.run(whole())) >= 3


def test_a_push_that_finds_no_room_is_refused_and_can_be_repeated(small: Path) -> None:
    name, config = Name("a/b"), json.dumps({"architecture": "amd64", "os": "linux"}).encode()
    document = json.dumps(manifest(config, [ONE, TWO])).encode()

    def pushed() -> int:
        service = Service(Filesystem(str(small / "registry")), Policy())

        def push() -> None:
            for data in (ONE, TWO, config):
                digest = Named.of(data)
                if service.blobs.has(name, digest):
                    continue
                upload = service.uploads.begin(name)
                try:
                    for at in range(0, len(data), 1 << 18):
                        upload.append([data[at : at + (1 << 18)]])
                    service.uploads.finish(upload, digest)
                finally:
                    service.uploads.cancel(upload)
            service.manifests.put(name, Tag("1"), document, OCI_MANIFEST)

        refusals = 0
        for free in range(0, 6 << 20, 300 << 10):
            with only(small, free):
                failed = refused(push)
                refusals += failed
                whole(service)
                assert not any(service.uploads.abandoned(-1))
                assert not [*service.storage.leftovers(0)]
                assert service.manifests.all_tags(name) == ([] if failed else ["1"])
            push()
            assert service.manifests.get(name, Tag("1")).data == document
            whole(service)
            for folder in (small / "registry" / "docker").iterdir():
                service.storage.delete(f"docker/{folder.name}")
            service = Service(Filesystem(str(small / "registry")), Policy())
        return refusals

    def whole(service: Service) -> None:
        for digest in service.blobs.all_of(name):
            content = service.blobs.open(name, digest)
            assert Named.of(content.read(0, content.size)) == digest
            content.close()

    assert in_child(pushed) >= 3
