"""A registry that keeps its images in a bucket that others have implemented."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.faulty_registry import wait_until
from tests.support.moto_store import client, moto_store, needs_moto
from tests.support.registry_server import RegistryServer, digest, registry_server

pytestmark = needs_moto
LARGE = 20_000_000  # goes up in parts


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto_store(tmp_path_factory.mktemp("moto"), "images") as made:
        yield made


def with_bucket(endpoint: str, folder: Path, name: str, **more: Any) -> Any:
    s3 = {
        "bucket": "images",
        "region": "us-east-1",
        "regionendpoint": endpoint,
        "accesskey": "key",
        "secretkey": "secret",
        "rootdirectory": f"/{name}",
        "spool": str(folder / "spool"),
    }
    return registry_server(folder, storage={"s3": s3, "delete": {"enabled": True}, **more})


def stored(endpoint: str, name: str) -> list[str]:
    pages = (
        client(endpoint)
        .get_paginator("list_objects_v2")
        .paginate(Bucket="images", Prefix=f"{name}/")
    )
    return [one["Key"] for page in pages for one in page.get("Contents", [])]


def test_an_image_goes_into_the_bucket_and_comes_from_there(endpoint: str, tmp_path: Path) -> None:
    layer = os.urandom(LARGE)
    with with_bucket(endpoint, tmp_path, "one") as server:
        assert isinstance(server, RegistryServer)
        data = server.push_image("a/b", "v1", layer)
        path = f"/v2/a/b/blobs/{digest(layer)}"
        answer = server.ask("GET", path)
        assert answer.status == 307
        with urllib.request.urlopen(answer.headers["location"]) as there:
            assert there.read() == layer
        assert server.ask("HEAD", path).headers["content-length"] == str(LARGE)
        server.stop()
        server.start()
        assert server.ask("GET", "/v2/a/b/manifests/v1").body == data
        assert server.ask("GET", "/v2/_catalog").json()["repositories"] == ["a/b"]
        assert server.ask("GET", "/v2/a/b/tags/list").json()["tags"] == ["v1"]
    assert len([key for key in stored(endpoint, "one") if key.endswith("/data")]) == 3


def test_without_redirects_parts_are_sent_from_here(endpoint: str, tmp_path: Path) -> None:
    layer = os.urandom(3_000_000)
    with with_bucket(endpoint, tmp_path, "two", redirect={"disable": True}) as server:
        server.push_image("a", "v1", layer)
        path = f"/v2/a/blobs/{digest(layer)}"
        assert server.ask("GET", path).body == layer
        part = server.ask("GET", path, Range="bytes=1000000-1999999")
        assert (part.status, part.body) == (206, layer[1_000_000:2_000_000])


def test_what_nothing_needs_is_collected(endpoint: str, tmp_path: Path) -> None:
    with with_bucket(endpoint, tmp_path, "three", collection={"grace": "1ns"}) as server:
        kept = server.push_image("a", "v1", b"kept")
        gone = server.push_image("a", "v2", b"gone")
        server.ask("DELETE", f"/v2/a/manifests/{digest(gone)}")
        server.stop()
        removed = f"removed blob {digest(b'gone')}"  # the bucket's clock counts whole seconds
        wait_until(lambda: removed in server.command("gc").stdout, 30)
        assert server.command("check").stdout == "all is whole\n"
        server.start()
        assert server.ask("GET", "/v2/a/manifests/v1").body == kept
        assert server.ask("GET", f"/v2/a/blobs/{digest(b'kept')}").status == 307
    assert not [key for key in stored(endpoint, "three") if digest(b"gone")[7:] in key]
