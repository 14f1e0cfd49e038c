"""What the registry client makes of documents that are not what they should be."""

from __future__ import annotations

import json

import pytest
from tests.support.asking import GOOD, OCI, resolve
from tests.support.faulty_registry import Answer, FaultyRegistry
from tests.support.images import sha256
from tests.support.pulling import asking

from boxship.distribution.errors import (
    RegistryUnavailable,
    WrongAnswer,
    WrongBytes,
)
from boxship.distribution.manifests import Schema1


def served(registry: FaultyRegistry, document: object, kind: str = OCI + "manifest.v1+json") -> str:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return registry.add_manifest("a/b", "bad", kind, data)


@pytest.mark.parametrize(
    "document",
    [
        {**GOOD, "manifests": []},
        {**GOOD, "mediaType": OCI + "index.v1+json"},
        {**GOOD, "schemaVersion": 3},
        {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "manifests": []},
        {"schemaVersion": 2},
        [],
        b"",
        b"{",
        b'{"schemaVersion":2,"layers":[],"layers":[],"config":{}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_document_that_could_be_two_things_is_refused(
    registry: FaultyRegistry, document: object
) -> None:
    served(registry, document)
    with pytest.raises(WrongAnswer):
        asking(registry.host, resolve("bad"))


def test_a_manifest_that_breaks_off_is_asked_for_again(registry: FaultyRegistry) -> None:
    kind, data = registry.manifests["a/b", "1"]
    registry.when("GET", "/manifests/", Answer(200, {"Content-Type": kind}, data, cut=20), times=2)
    assert asking(registry.host, resolve()).data == data
    registry.when("GET", "/manifests/", Answer(200, {"Content-Type": kind}, data, cut=20))
    with pytest.raises(RegistryUnavailable):
        asking(registry.host, resolve())


def test_a_header_that_contradicts_its_document_is_refused(registry: FaultyRegistry) -> None:
    served(registry, GOOD, OCI + "index.v1+json")
    with pytest.raises(WrongAnswer):
        asking(registry.host, resolve("bad"))


def test_a_header_that_says_nothing_is_not_believed(registry: FaultyRegistry) -> None:
    served(registry, GOOD, "application/json; charset=utf-8")
    assert asking(registry.host, resolve("bad")).media_type == OCI + "manifest.v1+json"


def test_other_bytes_than_the_digest_says_are_refused(registry: FaultyRegistry) -> None:
    other = sha256(b"other")
    registry.manifests["a/b", other] = (OCI + "manifest.v1+json", json.dumps(GOOD).encode())
    with pytest.raises(WrongBytes, match=other):
        asking(registry.host, resolve(other))


def test_a_digest_header_that_lies_is_noticed(registry: FaultyRegistry) -> None:
    kind, data = registry.manifests["a/b", "1"]
    lie = {"Content-Type": kind, "Docker-Content-Digest": sha256(b"other")}
    registry.when("GET", "/manifests/", Answer(200, lie, data))
    with pytest.raises(WrongBytes):
        asking(registry.host, resolve())


@pytest.mark.parametrize("chunked", [True, False])
def test_a_huge_manifest_is_refused_before_it_is_in_memory(
    registry: FaultyRegistry, chunked: bool
) -> None:
    headers = {"Content-Type": OCI + "manifest.v1+json"}
    if not chunked:
        headers["Content-Length"] = str(1 << 40)
    registry.when("GET", "/manifests/", Answer(200, headers, b" " * (5 << 20), chunked=chunked))
    with pytest.raises(WrongAnswer, match="bytes"):
        asking(registry.host, resolve())


@pytest.mark.parametrize(
    "kind", ["application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json"]
)
def test_schema_1_is_refused_with_a_reason(registry: FaultyRegistry, kind: str) -> None:
    served(registry, {"schemaVersion": 1, "fsLayers": []}, kind)
    with pytest.raises(Schema1, match="no longer supported"):
        asking(registry.host, resolve("bad"))


def test_a_registry_that_does_not_tell_digests_is_asked_for_all(registry: FaultyRegistry) -> None:
    registry.when("HEAD", "/manifests/", Answer(200))
    kind, data = registry.manifests["a/b", "1"]
    found = asking(registry.host, lambda asked: asked.head_manifest("a/b", "1"))
    assert (found.media_type, found.digest, found.size) == (kind, sha256(data), len(data))
