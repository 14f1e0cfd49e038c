"""A registry that keeps its images in an object store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.object_store import ObjectStore, object_store
from tests.support.registry_server import RegistryServer, digest, merge, registry_server


@pytest.fixture
def bucket() -> Iterator[ObjectStore]:
    with object_store() as made:
        yield made


def section(bucket: ObjectStore, folder: Path, **more: Any) -> dict[str, Any]:
    s3 = {
        "bucket": "images",
        "region": "somewhere",
        "regionendpoint": bucket.endpoint,
        "accesskey": "key",
        "secretkey": "secret",
        "spool": str(folder / "spool"),
    }
    found: dict[str, Any] = {"s3": s3, "delete": {"enabled": True}}
    merge(found, more)
    return found


def with_bucket(bucket: ObjectStore, folder: Path, **more: Any) -> Any:
    return registry_server(folder, storage=section(bucket, folder, **more))


def test_an_image_lies_in_the_bucket_and_is_sent_from_there(
    bucket: ObjectStore, tmp_path: Path
) -> None:
    layer = os.urandom(6_000_000)
    with with_bucket(bucket, tmp_path) as server:
        data = server.push_image("a/b", "v1", layer)
        assert server.ask("GET", "/v2/a/b/manifests/v1").body == data
        path = f"/v2/a/b/blobs/{digest(layer)}"
        answer = server.ask("GET", path)
        assert answer.status == 307
        assert answer.headers["location"].startswith(f"{bucket.endpoint}/images/docker/registry")
        assert server.ask("HEAD", path).headers["content-length"] == "6000000"
        assert server.ask("GET", "/v2/a/b/tags/list").json()["tags"] == ["v1"]
        assert server.ask("GET", "/v2/_catalog").json()["repositories"] == ["a/b"]
        server.stop()
        server.start()
        assert server.ask("GET", "/v2/a/b/manifests/v1").body == data
    stored = f"docker/registry/v2/blobs/sha256/{digest(layer)[7:9]}/{digest(layer)[7:]}/data"
    assert bucket.objects[stored][0] == layer
    assert not [file for file in (tmp_path / "spool").rglob("data") if file.is_file()]


def test_without_redirects_the_registry_sends_it_itself(
    bucket: ObjectStore, tmp_path: Path
) -> None:
    layer = os.urandom(3_000_000)
    with with_bucket(bucket, tmp_path, redirect={"disable": True}) as server:
        server.push_image("a", "v1", layer)
        path = f"/v2/a/blobs/{digest(layer)}"
        assert server.ask("GET", path).body == layer
        part = server.ask("GET", path, Range="bytes=1000000-1999999")
        assert (part.status, part.body) == (206, layer[1_000_000:2_000_000])


def test_nothing_wrong_reaches_the_bucket(bucket: ObjectStore, tmp_path: Path) -> None:
    with with_bucket(bucket, tmp_path) as server:
        location = server.begin("a").headers["location"]
        answer = server.ask("PUT", f"{location}?digest={digest(b'right')}", b"wrong")
        assert answer.code == "DIGEST_INVALID"
    assert not bucket.objects


def test_collection_and_check_work_on_a_bucket(bucket: ObjectStore, tmp_path: Path) -> None:
    with with_bucket(bucket, tmp_path, collection={"grace": "1ns"}) as server:
        kept = server.push_image("a", "v1", b"kept")
        gone = server.push_image("a", "v2", b"gone")
        server.ask("DELETE", f"/v2/a/manifests/{digest(gone)}")
        server.stop()
        for key, (data, changed) in bucket.objects.items():
            bucket.objects[key] = data, changed.replace(year=2020)
        assert f"removed blob {digest(b'gone')}" in server.command("gc").stdout
        assert server.command("check").stdout == "all is whole\n"
        server.start()
        assert server.ask("GET", "/v2/a/manifests/v1").body == kept


def test_a_bucket_that_fails_is_told(bucket: ObjectStore, tmp_path: Path) -> None:
    with with_bucket(bucket, tmp_path) as server:
        assert isinstance(server, RegistryServer)
        server.push_image("a", "v1")
        bucket.failures = 3
        answer = server.ask("GET", "/v2/a/manifests/v1")
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        bucket.failures = 0
        assert server.ask("GET", "/v2/a/manifests/v1").status == 200
