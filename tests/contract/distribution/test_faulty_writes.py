"""What the registry client makes of registries that take uploads badly."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from tests.support.asking import DATA, DIGEST, GOOD, OCI, upload
from tests.support.faulty_registry import Answer, FaultyRegistry
from tests.support.images import sha256
from tests.support.pulling import asking

from boxship.distribution.client import Registry, Sent
from boxship.distribution.errors import (
    RegistryUnavailable,
    WrongAnswer,
)
from boxship.spec.digest import Digest


def test_a_blob_is_mounted_rather_than_sent(registry: FaultyRegistry) -> None:
    assert asking(registry.host, upload) is Sent.MOUNTED
    assert asking(registry.host, upload) is Sent.EXISTED
    assert not registry.asked("PUT", "")


@pytest.mark.parametrize("piece", [0, 100_000])
def test_a_blob_is_sent_whole_or_in_pieces(registry: FaultyRegistry, piece: int) -> None:
    registry.places.clear()
    assert asking(registry.host, upload, upload_piece=piece) is Sent.PUSHED
    assert registry.blobs[DIGEST] == DATA
    assert len(registry.asked("PATCH", "")) == (11 if piece else 0)


def test_an_upload_goes_on_where_it_was_cut(registry: FaultyRegistry) -> None:
    """The registry kept a part before the connection broke: only the rest is sent again."""
    registry.places.clear()

    def breaks(asked: Any) -> Answer:
        registry.uploads["0"] += asked.body[:400_000]
        return Answer(500, cut=0)

    registry.when("PUT", "/uploads/", breaks, times=1)
    assert asking(registry.host, upload) is Sent.PUSHED
    (rest,) = registry.asked("PATCH", "")
    assert rest.headers["content-range"] == f"400000-{len(DATA) - 1}"
    assert registry.blobs[DIGEST] == DATA


def test_an_upload_that_nobody_takes_is_given_up(registry: FaultyRegistry) -> None:
    """The other end stops reading: the upload ends after a while, in place of waiting for ever."""
    registry.places.clear()
    with socket.create_server(("127.0.0.2", 0)) as deaf:
        address = f"http://127.0.0.2:{deaf.getsockname()[1]}"
        registry.when("POST", "", Answer(202, {"Location": f"{address}/upload"}))

        async def content(start: int, end: int) -> Any:
            while True:
                yield bytes(1 << 20)

        async def work(asked: Registry) -> Sent:
            return await asked.upload_blob("p/q", DIGEST, 1 << 40, content)

        with pytest.raises(RegistryUnavailable, match="timed out"):
            asking(registry.host, work, stall_timeout=0.3, attempts=1)


def test_an_upload_that_was_lost_is_begun_again(registry: FaultyRegistry) -> None:
    registry.places.clear()

    def lost(asked: Any) -> Answer:
        registry.uploads.clear()
        return Answer(502)

    registry.when("PUT", "/uploads/", lost, times=1)
    assert asking(registry.host, upload) is Sent.PUSHED
    assert len(registry.asked("POST", "")) == 2


def test_a_registry_that_stores_something_else_is_noticed(registry: FaultyRegistry) -> None:
    registry.when("PUT", "/manifests/", Answer(201, {"Docker-Content-Digest": sha256(b"other")}))
    with pytest.raises(WrongAnswer, match="has stored"):
        asking(registry.host, lambda asked: asked.put_manifest("a/b", "2", "x", b"{}"))


def test_referrers_are_listed_in_a_tag_where_there_is_no_api(registry: FaultyRegistry) -> None:
    """OCI distribution 1.1: the client keeps the list for a registry that does not."""
    kind, target = registry.manifests["a/b", "1"]
    subject = {"mediaType": kind, "digest": sha256(target), "size": len(target)}

    def document(number: int) -> bytes:
        artifact = {**GOOD, "artifactType": f"test/{number}", "annotations": {"n": str(number)}}
        return json.dumps({**artifact, "subject": subject}).encode()

    async def work(asked: Registry) -> list[Any]:
        for number in (1, 2, 2):
            data = document(number)
            await asked.put_manifest("a/b", sha256(data), OCI + "manifest.v1+json", data)
        found = await asked.referrers("a/b", Digest.of(target))
        return [*found, *await asked.referrers("a/b", Digest.of(target), "test/2")]

    found = asking(registry.host, work)
    assert [one.artifact_type for one in found] == ["test/1", "test/2", "test/2"]
    assert [one.digest for one in found[:2]] == [sha256(document(1)), sha256(document(2))]
    assert found[0].annotations == {"n": "1"}
