"""What the registry asks of a storage, on every storage there is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.moto_store import client, moto_store, needs_moto
from tests.support.object_store import ObjectStore, object_store

from boxship.registry.config import S3Section
from boxship.registry.errors import StorageUnavailable
from boxship.registry.storage.driver import NoSuchKey, Storage, walk
from boxship.registry.storage.filesystem import Filesystem
from boxship.registry.storage.memory import Memory


@pytest.fixture(scope="module")
def bucket() -> Iterator[ObjectStore]:
    with object_store() as made:
        yield made


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket that is not ours."""
    with moto_store(tmp_path_factory.mktemp("moto"), "bucket") as made:
        yield made


def connected(bucket: ObjectStore, spool: Path, **more: object) -> Storage:
    return connected_to(bucket.endpoint, spool, **more)


def connected_to(endpoint: str, spool: Path, **more: object) -> Storage:
    from boxship.registry.storage.s3 import ObjectStore as Driver

    section = S3Section(
        bucket="bucket",
        regionendpoint=endpoint,
        accesskey="key",
        secretkey="secret",
        rootdirectory="/some/where",
        **more,
    )
    return Driver(section, str(spool))


@pytest.fixture(params=["filesystem", "memory", "s3", pytest.param("moto", marks=needs_moto)])
def storage(request: pytest.FixtureRequest, tmp_path: Path, bucket: ObjectStore) -> Storage:
    match request.param:
        case "filesystem":
            return Filesystem(str(tmp_path / "root"))
        case "memory":
            return Memory(str(tmp_path))
        case "moto":
            endpoint = request.getfixturevalue("endpoint")
            held = client(endpoint)
            for one in held.list_objects_v2(Bucket="bucket").get("Contents", []):
                held.delete_object(Bucket="bucket", Key=one["Key"])
            return connected_to(endpoint, tmp_path)
        case _:
            bucket.objects.clear()
            return connected(bucket, tmp_path)


def test_what_was_written_is_read(storage: Storage) -> None:
    storage.write("a/b/c", b"one")
    assert storage.read("a/b/c") == b"one"
    storage.write("a/b/c", b"two")
    assert storage.read("a/b/c") == b"two"
    storage.write("a/empty", b"")
    assert storage.read("a/empty") == b""


@pytest.mark.parametrize("key", ["none", "a", "a/b", "a/b/c/d"])
def test_what_is_not_there_is_not_there(storage: Storage, key: str) -> None:
    storage.write("a/b/c", b"one")
    with pytest.raises(NoSuchKey):
        storage.read(key)
    with pytest.raises(NoSuchKey):
        storage.open(key)


def test_size_and_time_are_known(storage: Storage) -> None:
    assert storage.stat("a/b") is None
    storage.write("a/b", b"12345")
    found = storage.stat("a/b")
    assert found is not None
    assert found.size == 5
    storage.touch("a/b")
    later = storage.stat("a/b")
    assert later is not None
    assert later.changed >= found.changed
    storage.touch("nothing")
    assert storage.stat("nothing") is None


def test_names_are_those_one_step_below(storage: Storage) -> None:
    for key in ("t/b/x", "t/b/y", "t/a", "t/c/d/e", "other"):
        storage.write(key, b"x")
    assert storage.names("t") == ["a", "b", "c"]
    assert storage.names("t/b") == ["x", "y"]
    assert storage.names("t/nothing") == []
    assert storage.names("t/a") == []
    assert sorted(walk(storage, "t", 2)) == ["b/x", "b/y", "c/d"]


def test_a_key_goes_with_its_tree(storage: Storage) -> None:
    for key in ("t/b/x", "t/b/y/z", "t/bc", "t/a"):
        storage.write(key, b"x")
    storage.delete("t/b")
    storage.delete("t/b")
    assert storage.names("t") == ["a", "bc"]
    storage.delete("t/a")
    assert storage.names("t") == ["bc"]


def test_content_is_read_in_parts(storage: Storage) -> None:
    storage.write("k", bytes(range(200)))
    content = storage.open("k")
    try:
        assert content.size == 200
        assert content.read(0, 10) + content.read(10, 10) == bytes(range(20))
        assert content.read(190, 100) == bytes(range(190, 200))
        assert content.read(200, 10) == b""
        assert content.read(5, 2) == bytes([5, 6])
    finally:
        content.close()


@pytest.mark.parametrize("size", [10, 12 << 20])
def test_a_file_is_adopted(storage: Storage, tmp_path: Path, size: int) -> None:
    """A large one goes to an object store in parts."""
    folder = Path(storage.spool()) / "spool"
    folder.mkdir(parents=True)
    data = os.urandom(size)
    (folder / "data").write_bytes(data)
    storage.adopt(str(folder / "data"), "deep/down/data")
    assert not (folder / "data").exists()
    found = storage.stat("deep/down/data")
    assert found is not None
    assert found.size == size
    content = storage.open("deep/down/data")
    try:
        pieces = [content.read(at, 1 << 20) for at in range(0, size, 1 << 20)]
        assert b"".join(pieces) == data
    finally:
        content.close()


def test_nothing_is_left_over(storage: Storage) -> None:
    storage.write("a", b"x")
    assert list(storage.leftovers(0.0)) == []


def test_a_file_system_tells_what_a_crash_left(tmp_path: Path) -> None:
    storage = Filesystem(str(tmp_path))
    storage.write("a/b", b"x")
    (tmp_path / "a/c.0badcafe.7.new").write_bytes(b"half")
    assert storage.names("a") == ["b"]
    assert list(storage.leftovers(0.0)) == [("a/c.0badcafe.7.new", 4)]


def test_an_object_store_that_fails_is_unavailable(bucket: ObjectStore, tmp_path: Path) -> None:
    storage = connected(bucket, tmp_path)
    storage.write("a", b"x")
    bucket.failures = 1
    assert storage.read("a") == b"x"  # once is tried again
    bucket.failures = 100
    with pytest.raises(StorageUnavailable, match="SlowDown"):
        storage.read("a")
    bucket.failures = 0


def test_clients_are_sent_to_an_object_store_by_a_signed_address(
    bucket: ObjectStore, tmp_path: Path
) -> None:
    storage = connected(bucket, tmp_path)
    place = storage.location("a/b")
    assert place is not None
    assert place.startswith(f"{bucket.endpoint}/bucket/some/where/a/b?")
    assert "Signature=" in place
