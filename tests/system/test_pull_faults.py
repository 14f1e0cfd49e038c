"""Pulls from registries that misbehave: a clear error, and a store as it was before."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.support import images as made
from tests.support import pulling
from tests.support.engine import PATIENCE
from tests.support.faulty_registry import (
    INDEX,
    MANIFEST,
    Answer,
    FaultyRegistry,
    missing,
    refused,
    two,
    wait_until,
)
from tests.support.pulling import HIGH, LOW, QUICK, Puller

from boxship.distribution.auth import Credentials
from boxship.errors import BoxshipError
from boxship.image.filters import Wanted
from boxship.image.pull import Pulls
from boxship.spec.reference import Reference

pytestmark = pytest.mark.root
registry, puller = pulling.two_layers, pulling.quick_puller


def layer(registry: FaultyRegistry, number: int) -> str:
    _, data = registry.manifests["a/b", "1"]
    return str(json.loads(data)["layers"][number]["digest"])


def fails(puller: Puller, registry: FaultyRegistry, message: str, name: str = "a/b:1") -> None:
    """Pull, expect a reason, and find nothing left."""
    with pytest.raises((BoxshipError, OSError), match=message):
        puller.pull(f"{registry.host}/{name}")
    assert puller.is_clean()


def test_a_pull_brings_all_that_was_pushed(puller: Puller, registry: FaultyRegistry) -> None:
    image = puller.pull(f"{registry.host}/a/b:1")
    assert image.id == made.sha256(registry.manifests["a/b", "1"][1])
    assert len(puller.engine.snapshots.layers()) == 2
    assert puller.statuses[0] == "Pulling from a/b"
    assert puller.statuses[-1].startswith("Status: Downloaded newer image")
    for status in ("Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"):
        assert puller.statuses.count(status) == 2
    assert puller.engine.journal.told == [("pull", f"{registry.host}/a/b")]


def test_a_pull_again_asks_once(puller: Puller, registry: FaultyRegistry) -> None:
    puller.pull(f"{registry.host}/a/b:1")
    registry.seen.clear()
    puller.told.clear()
    puller.pull(f"{registry.host}/a/b:1")
    assert [one.method for one in registry.seen] == ["HEAD"]
    assert puller.statuses[-1].startswith("Status: Image is up to date")


def test_a_layer_that_is_here_is_not_fetched(puller: Puller, registry: FaultyRegistry) -> None:
    puller.pull(f"{registry.host}/a/b:1")
    registry.add("a/b", "2", [LOW, HIGH, made.archive(("new", b"new", {}))])
    registry.seen.clear()
    puller.pull(f"{registry.host}/a/b:2")
    assert len(registry.asked("GET", "/blobs/")) == 2  # the configuration and the new layer
    assert puller.statuses.count("Already exists") == 2


@pytest.mark.parametrize("number", [0, 1])
def test_wrong_content_is_noticed(puller: Puller, registry: FaultyRegistry, number: int) -> None:
    digest = layer(registry, number)
    good = registry.blobs[digest]
    other = gzip.compress(made.archive(("evil", b"x", {})), 1, mtime=0)
    registry.blobs[digest] = other[: len(good)].ljust(len(good), b"\0")
    fails(puller, registry, "verification failed|has the digest")


def test_a_changed_byte_is_noticed(puller: Puller, registry: FaultyRegistry) -> None:
    digest = layer(registry, 1)
    data = bytearray(registry.blobs[digest])
    data[len(data) // 2] ^= 1
    registry.blobs[digest] = bytes(data)
    fails(puller, registry, "verification failed|has the digest")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: Answer(body=data + b"x"),
        lambda data: Answer(body=data + b"x", chunked=True),
        lambda data: Answer(body=data[:-1]),
        lambda data: Answer(body=data[:-1], chunked=True),
        lambda data: Answer(body=data, cut=len(data) // 2),
        lambda data: Answer(body=data, cut=0),
        lambda data: Answer(500),
        lambda data: missing("BLOB_UNKNOWN"),
        lambda data: Answer(307, {"Location": "http://127.0.0.1:1/"}),
        lambda data: Answer(206, {"Content-Range": "bytes 0-1/2"}, data),
        lambda data: Answer(200, {"Content-Length": "9223372036854775807"}, data),
    ],
)
def test_a_layer_that_does_not_come_leaves_nothing(
    puller: Puller, registry: FaultyRegistry, change: Any
) -> None:
    digest = layer(registry, 1)
    registry.when("GET", digest, change(registry.blobs[digest]))
    fails(puller, registry, ".")


def test_a_layer_that_came_while_another_failed_leaves_nothing(
    puller: Puller, registry: FaultyRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is told while the layer that has come is being let go of."""
    came, failed = threading.Event(), threading.Event()

    def prune() -> int:
        if came.is_set():
            failed.set()
        else:
            came.set()
            failed.wait(20 * PATIENCE)
            time.sleep(0.2)
        return 0

    def late(_: Any) -> Answer:
        came.wait(20 * PATIENCE)
        return missing("BLOB_UNKNOWN")

    monkeypatch.setattr(puller.engine.blobs.partials, "prune", prune)
    registry.when("GET", layer(registry, 1), late)
    fails(puller, registry, ".")


def test_a_cut_layer_is_continued(puller: Puller, registry: FaultyRegistry) -> None:
    digest = layer(registry, 1)
    data = registry.blobs[digest]
    registry.when("GET", digest, Answer(body=data, cut=len(data) // 2), times=1)
    puller.pull(f"{registry.host}/a/b:1")
    first, second = registry.asked("GET", digest)
    assert "range" not in first.headers
    assert second.headers["range"] == f"bytes={len(data) // 2}-"


LARGE = made.archive(("large", random.Random(7).randbytes(3 << 20), {}))  # and does not pack


def broken_off(puller: Puller, registry: FaultyRegistry) -> tuple[str, int]:
    """Pull a layer that breaks off for good; return its digest, and how much has come."""
    registry.add("a/b", "1", [LOW, LARGE])
    digest = layer(registry, 1)
    data = registry.blobs[digest]
    cut = 2 << 20
    told = {"Content-Length": str(len(data)), "Connection": "close"}
    registry.when("GET", digest, Answer(200, told, data[:cut]), times=1)
    registry.when("GET", digest, Answer(500), times=QUICK.attempts)
    fails(puller, registry, ".")
    registry.seen.clear()
    return digest, cut


@pytest.mark.parametrize("restarted", [False, True])
def test_the_next_pull_goes_on_where_the_last_one_broke_off(
    puller: Puller, registry: FaultyRegistry, restarted: bool
) -> None:
    digest, cut = broken_off(puller, registry)
    if restarted:
        puller.engine.again()
    puller.pull(f"{registry.host}/a/b:1")
    (asked,) = registry.asked("GET", digest)
    assert asked.headers["range"] == f"bytes={cut}-"
    assert len(puller.engine.snapshots.layers()) == 2
    assert not os.listdir(f"{puller.engine.blobs.root}/partial")


def test_what_was_kept_of_a_layer_is_not_believed(puller: Puller, registry: FaultyRegistry) -> None:
    digest, cut = broken_off(puller, registry)
    (kept,) = (puller.engine.root / "blobs/partial").iterdir()
    kept.write_bytes(bytes(cut))
    puller.pull(f"{registry.host}/a/b:1")
    assert ["range" in one.headers for one in registry.asked("GET", digest)] == [True, False]


def test_a_registry_without_ranges_sends_all_of_it_again(
    puller: Puller, registry: FaultyRegistry
) -> None:
    digest, _ = broken_off(puller, registry)
    registry.when("GET", digest, Answer(body=registry.blobs[digest]))
    puller.pull(f"{registry.host}/a/b:1")
    assert len(registry.asked("GET", digest)) == 1


def test_what_was_kept_goes_with_a_prune(puller: Puller, registry: FaultyRegistry) -> None:
    _, cut = broken_off(puller, registry)
    assert puller.engine.images.prune(Wanted()) == ([], cut)
    assert not os.listdir(f"{puller.engine.blobs.root}/partial")


def test_appended_members_belong_to_the_digest(puller: Puller, registry: FaultyRegistry) -> None:
    """A second gzip member after the archive's end is content, and its diff ID tells."""
    stored = gzip.compress(LOW, 1, mtime=0) + gzip.compress(HIGH, 1, mtime=0)
    registry.add_documents("a/b", "1", made.config([LOW]), [stored])
    fails(puller, registry, "diff ID")


def test_a_layer_with_another_diff_id_is_refused(puller: Puller, registry: FaultyRegistry) -> None:
    stored = gzip.compress(HIGH, 1, mtime=0)
    registry.add_documents("a/b", "1", made.config([LOW]), [stored])
    fails(puller, registry, "diff ID")


def test_layers_and_diff_ids_must_be_as_many(puller: Puller, registry: FaultyRegistry) -> None:
    registry.add_documents("a/b", "1", made.config([LOW, HIGH]), [gzip.compress(LOW)])
    fails(puller, registry, "layers length mismatch")


def test_another_configuration_is_refused(puller: Puller, registry: FaultyRegistry) -> None:
    _, data = registry.manifests["a/b", "1"]
    digest = json.loads(data)["config"]["digest"]
    registry.blobs[digest] = registry.blobs[digest].replace(b"amd64", b"arm64")
    fails(puller, registry, "has the digest")


@pytest.mark.parametrize("size", [-1, 0, 1 << 62])
def test_sizes_that_cannot_be_are_refused(
    puller: Puller, registry: FaultyRegistry, size: int
) -> None:
    _, data = registry.manifests["a/b", "1"]
    document = json.loads(data)
    document["layers"][0]["size"] = size
    registry.add_manifest("a/b", "1", MANIFEST, json.dumps(document).encode())
    fails(puller, registry, "size|announced|has the digest")


def test_an_index_that_lies_about_a_manifest_is_refused(
    puller: Puller, registry: FaultyRegistry
) -> None:
    digest = made.sha256(registry.manifests["a/b", "1"][1])
    registry.add_index("a/b", "many", {"linux/amd64": digest})
    kind, data = registry.manifests["a/b", "many"]
    document = json.loads(data)
    document["manifests"][0]["size"] += 1
    registry.add_manifest("a/b", "many", kind, json.dumps(document).encode())
    fails(puller, registry, "not what its index says", "a/b:many")


def test_an_index_in_itself_ends(puller: Puller, registry: FaultyRegistry) -> None:
    """Indexes that lead on and on are given up after a few levels."""
    kind, data = registry.manifests["a/b", "1"]
    for _ in range(9):
        about = made.descriptor(data, kind)
        data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [about]}).encode()
        kind = INDEX
        registry.add_manifest("a/b", "deep", INDEX, data)
    fails(puller, registry, "too many manifests", "a/b:deep")


def test_only_the_platform_s_own_layers_are_fetched(
    puller: Puller, registry: FaultyRegistry
) -> None:
    own = made.sha256(registry.manifests["a/b", "1"][1])
    foreign = registry.add("a/b", "arm", [HIGH], architecture="arm64")
    index = registry.add_index("a/b", "many", {"linux/amd64": own, "linux/arm64": foreign})
    image = puller.pull(f"{registry.host}/a/b:many")
    assert image.id == index
    assert puller.engine.blobs.read(image.id) == registry.manifests["a/b", "many"][1]
    assert not registry.asked("GET", foreign)
    puller.pull(f"{registry.host}/a/b:many", platform="linux/arm64")
    assert registry.asked("GET", foreign)
    assert len(puller.engine.images.list()) == 1


def test_a_platform_that_is_not_listed_is_told(puller: Puller, registry: FaultyRegistry) -> None:
    own = made.sha256(registry.manifests["a/b", "1"][1])
    registry.add_index("a/b", "many", {"linux/s390x": own})
    fails(puller, registry, "no matching manifest for linux/amd64", "a/b:many")


def test_another_platform_than_asked_for_is_told(puller: Puller, registry: FaultyRegistry) -> None:
    with pytest.raises(BoxshipError, match="does not match the specified platform"):
        puller.pull(f"{registry.host}/a/b:1", platform="linux/arm64")
    assert puller.is_clean()


def test_an_artifact_is_not_an_image(puller: Puller, registry: FaultyRegistry) -> None:
    document = json.loads(registry.manifests["a/b", "1"][1])
    document["config"]["mediaType"] = "application/vnd.example.chart+json"
    registry.add_manifest("a/b", "chart", MANIFEST, json.dumps(document).encode())
    fails(puller, registry, "not an image", "a/b:chart")


@pytest.mark.parametrize("pack", ["zstd", "none"])
def test_layers_may_be_packed_otherwise(
    puller: Puller, registry: FaultyRegistry, pack: str
) -> None:
    stored = zstandard.compress(HIGH) if pack == "zstd" else HIGH
    registry.add_documents("a/b", "2", made.config([HIGH]), [stored])
    image = puller.pull(f"{registry.host}/a/b:2")
    assert image.variant.diff_ids == [made.sha256(HIGH)]


def test_a_missing_tag_and_a_hidden_repository_are_told_apart(
    puller: Puller, registry: FaultyRegistry
) -> None:
    fails(puller, registry, "manifest for .*a/b:9 not found: manifest unknown", "a/b:9")
    registry.want_password("Basic never")
    fails(puller, registry, "pull access denied for .*'docker login'")


def test_a_wrong_password_is_told(puller: Puller, registry: FaultyRegistry) -> None:
    registry.want_password("Basic never")
    with pytest.raises(BoxshipError, match="unauthorized: authentication required"):
        puller.pull(f"{registry.host}/a/b:1", Credentials("u", "p"))
    assert puller.is_clean()


def test_too_many_requests_are_told(puller: Puller, registry: FaultyRegistry) -> None:
    registry.when("*", "/manifests/", refused(429, "TOOMANYREQUESTS", "slow down"))
    fails(puller, registry, "toomanyrequests: slow down")


def test_a_foreign_layer_is_not_fetched_in_clear(puller: Puller) -> None:
    """A document may name other hosts for a layer; one without TLS learns not even of the wish."""
    with two() as (own, other):
        own.add("a/b", "1", [LOW])
        document = json.loads(own.manifests["a/b", "1"][1])
        about = document["layers"][0]
        about["urls"] = [f"{other.origin}/layer"]
        about["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        own.add_manifest("a/b", "1", MANIFEST, json.dumps(document).encode())
        own.places.discard(("a/b", about["digest"]))
        fails(puller, own, "blob unknown")
        assert not other.seen


def test_leaving_in_the_middle_leaves_nothing(puller: Puller, registry: FaultyRegistry) -> None:
    digest = layer(registry, 1)
    data = registry.blobs[digest]
    registry.when("GET", digest, Answer(body=data, pause_after=len(data) // 2))

    async def work(pulls: Pulls, _: Any) -> None:
        name = Reference.parse(f"{registry.host}/a/b:1")
        pull = asyncio.create_task(pulls.pull(name, Credentials(), puller.told.append))
        await asyncio.to_thread(wait_until, lambda: "Pull complete" in puller.statuses)
        pull.cancel()
        await asyncio.wait([pull])
        assert pull.cancelled()

    puller.run(work)
    assert puller.is_clean()


def test_two_pulls_share_the_work(puller: Puller, registry: FaultyRegistry) -> None:
    registry.manifests["c/d", "1"] = registry.manifests["a/b", "1"]
    registry.places |= {("c/d", digest) for digest in registry.blobs}
    slow = layer(registry, 1)

    def late(_: Any) -> None:
        told = ("Pulling fs layer", "Already exists")
        wait_until(lambda: sum(map(puller.statuses.count, told)) == 6)

    registry.when("GET", slow, late)

    async def work(pulls: Pulls, _: Any) -> None:
        names = [f"{registry.host}/{name}" for name in ("a/b:1", "a/b:1", "c/d:1")]
        await asyncio.gather(
            *(
                pulls.pull(Reference.parse(name), Credentials(), puller.told.append)
                for name in names
            )
        )

    puller.run(work)
    assert len(registry.asked("GET", slow)) == 1
    assert puller.statuses.count("Pull complete") >= 4
    assert len(puller.engine.images.list()[0].names) == 2


@pytest.mark.parametrize("leaves", ["first", "second"])
def test_one_of_two_pulls_may_leave(puller: Puller, registry: FaultyRegistry, leaves: str) -> None:
    """The work goes on for the one that stays, whoever of them began it."""
    slow = layer(registry, 0)
    go_on = registry.released

    def held(_: Any) -> None:
        go_on.wait(20 * PATIENCE)

    registry.when("GET", slow, held)

    async def work(pulls: Pulls, _: Any) -> None:
        name = Reference.parse(f"{registry.host}/a/b:1")
        both = []
        for count in (1, 2):
            both.append(asyncio.create_task(pulls.pull(name, Credentials(), puller.told.append)))
            await asyncio.to_thread(
                wait_until, lambda n=count: puller.statuses.count("Pulling fs layer") == 2 * n
            )
        gone, stays = both if leaves == "first" else reversed(both)
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.wait([gone])
        go_on.set()
        image = await stays
        assert image.variant.diff_ids == [made.sha256(LOW), made.sha256(HIGH)]

    puller.run(work)
    assert len(registry.asked("GET", slow)) == 1


def test_the_number_of_layers_at_once_is_limited(tmp_path: Path) -> None:
    layers = [made.archive((f"{n}", str(n).encode() * 1000, {})) for n in range(8)]
    with FaultyRegistry() as registry:
        digest = registry.add("a/b", "1", layers)
        config = json.loads(registry.manifests["a/b", digest][1])["config"]["digest"]
        running, most = 0, 0
        together = threading.Event()

        def count(asked: Any) -> None:
            nonlocal running, most
            if config in asked.path:
                return
            running += 1
            most = max(most, running)
            if running > 1:
                together.set()
            together.wait(PATIENCE)
            time.sleep(0.02)  # for a third
            running -= 1

        registry.when("GET", "/blobs/", count)
        puller = Puller(tmp_path, downloads=2)
        puller.pull(f"{registry.host}/a/b:1")
        assert most == 2
        assert "Waiting" in puller.statuses
        puller.close()


def test_bad_content_of_a_mirror_is_fetched_from_the_registry(tmp_path: Path) -> None:
    from boxship.distribution.settings import read_hosts

    with two() as (own, mirror):
        for one in (own, mirror):
            one.add("a/b", "1", [LOW])
        digest = layer(own, 0)
        mirror.blobs[digest] = bytes(len(own.blobs[digest]))
        hosts = read_hosts({own.host: {"mirrors": [mirror.origin]}}, [])
        puller = Puller(tmp_path, hosts=hosts)
        puller.pull(f"{own.host}/a/b:1")
        assert mirror.asked("GET", digest)
        assert own.asked("GET", digest)
        puller.close()


@pytest.mark.parametrize("kilobytes", [40, 200, 600, 1200, 2400])
def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, registry: FaultyRegistry, kilobytes: int
) -> None:
    """The disk is full somewhere on the way: in a document, a blob or an unpacked layer."""
    place = tmp_path / "small"
    place.mkdir()
    layers = [made.archive((f"{n}", os.urandom(700_000), {})) for n in range(2)]
    registry.add("a/b", "big", layers)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], check=True)
    try:
        puller = Puller(place)
        used = sum(file.stat().st_blocks * 512 for file in place.rglob("*"))
        room = f"remount,size={used // 1024 + kilobytes}k"
        subprocess.run(["mount", "-o", room, place], check=True)
        with pytest.raises((BoxshipError, OSError), match=r"No space left|disk|full"):
            puller.pull(f"{registry.host}/a/b:big")
        assert puller.is_clean()
        subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)
        image = puller.pull(f"{registry.host}/a/b:big")
        assert image.variant.diff_ids == [made.sha256(layer) for layer in layers]
        puller.close()
    finally:
        subprocess.run(["umount", "-l", place], check=True)
