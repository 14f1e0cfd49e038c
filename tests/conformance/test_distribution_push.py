"""OCI distribution specification 1.1, "Push"."""

from __future__ import annotations

import json
import os

import pytest
from tests.support.registry_server import (
    EMPTY,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    RegistryServer,
    descriptor,
    digest,
    index,
    manifest,
    with_query,
)

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def test_a_blob_is_pushed_by_post_then_put(registry: RegistryServer, name: str) -> None:
    """end-4a, end-6, "Pushing a blob monolithically", "POST then PUT"."""
    begun = registry.begin(name)
    assert begun.status == 202
    assert begun.headers["range"] == "0-0"
    location = with_query(begun.headers["location"], digest=digest(b"bytes"))
    done = registry.ask("PUT", location, b"bytes", Content_Type="application/octet-stream")
    assert done.status == 201
    assert registry.ask("GET", done.headers["location"]).body == b"bytes"


def test_a_blob_is_pushed_by_a_single_post(registry: RegistryServer, name: str) -> None:
    """end-4b, "Single POST"."""
    path = with_query(f"/v2/{name}/blobs/uploads/", digest=digest(b"bytes"))
    done = registry.ask("POST", path, b"bytes")
    assert done.status == 201
    assert registry.ask("GET", done.headers["location"]).body == b"bytes"


def test_a_post_that_names_a_digest_without_content_begins_an_upload(
    registry: RegistryServer, name: str
) -> None:
    """end-4b: a registry that does not take the content answers 202 with a location."""
    begun = registry.begin(name, digest=digest(b"bytes"))
    assert begun.status == 202


def test_a_blob_is_pushed_in_chunks(registry: RegistryServer, name: str) -> None:
    """end-5, end-6, "Pushing a blob in chunks"."""
    data = os.urandom(300_000)
    location = registry.begin(name).headers["location"]
    for start, end in ((0, 100_000), (100_000, 250_000)):
        piece = registry.ask("PATCH", location, data[start:end], Content_Range=f"{start}-{end - 1}")
        assert piece.status == 202
        assert piece.headers["range"] == f"0-{end - 1}"
        location = piece.headers["location"]
    put = with_query(location, digest=digest(data))
    done = registry.ask("PUT", put, data[250_000:], Content_Range="250000-299999")
    assert done.status == 201
    assert registry.ask("GET", done.headers["location"]).body == data


def test_a_blob_is_pushed_as_a_stream(registry: RegistryServer, name: str) -> None:
    """PATCH without a Content-Range and in HTTP's own chunks, as docker push sends it."""
    data = os.urandom(400_000)
    location = registry.begin(name).headers["location"]
    connection = registry.connect()
    connection.request(
        "PATCH",
        location,
        iter([data[:7], data[7:90_000], data[90_000:]]),
        encode_chunked=True,
        headers={"Transfer-Encoding": "chunked"},
    )
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert (answer.status, answer.headers["Range"]) == (202, "0-399999")
    done = registry.ask("PUT", with_query(location, digest=digest(data)))
    assert done.status == 201


@pytest.mark.parametrize("asked", ["5-9", "12-14", "0-4"])
def test_a_chunk_out_of_order_is_refused(registry: RegistryServer, name: str, asked: str) -> None:
    """end-5: "If a chunk is uploaded out of order, the registry MUST respond with 416"."""
    location = registry.begin(name).headers["location"]
    assert registry.ask("PATCH", location, b"0123456789", Content_Range="0-9").status == 202
    first, last = map(int, asked.split("-"))
    answer = registry.ask("PATCH", location, b"x" * (last - first + 1), Content_Range=asked)
    assert answer.status == 416
    assert answer.headers["range"] == "0-9"
    status = registry.ask("GET", location)
    assert (status.status, status.headers["range"]) == (204, "0-9")


def test_a_chunk_whose_range_and_length_differ_is_refused(
    registry: RegistryServer, name: str
) -> None:
    """end-5: Content-Range and Content-Length must agree; nothing of it is kept."""
    location = registry.begin(name).headers["location"]
    assert registry.ask("PATCH", location, b"01234", Content_Range="0-9").status == 416
    connection = registry.connect()
    headers = {"Transfer-Encoding": "chunked", "Content-Range": "0-9"}
    connection.request("PATCH", location, iter([b"01234"]), headers, encode_chunked=True)
    assert connection.getresponse().status == 400
    connection.close()
    assert registry.ask("GET", location).headers["range"] == "0-0"
    whole = registry.ask("PUT", with_query(location, digest=digest(b"abc")), b"abc")
    assert whole.status == 201


def test_an_uploads_progress_can_be_asked_for(registry: RegistryServer, name: str) -> None:
    """end-13: GET <location> answers 204 with Range and Location."""
    location = registry.begin(name).headers["location"]
    registry.ask("PATCH", location, b"01234")
    status = registry.ask("GET", location)
    assert status.status == 204
    assert status.headers["range"] == "0-4"
    assert status.headers["location"] == location


def test_an_upload_can_be_cancelled(registry: RegistryServer, name: str) -> None:
    """end-14: DELETE <location> answers 204, and the upload is gone."""
    location = registry.begin(name).headers["location"]
    assert registry.ask("DELETE", location).status == 204
    gone = registry.ask("GET", location)
    assert (gone.status, gone.code) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert registry.ask("PATCH", location, b"x").status == 404


def test_an_upload_belongs_to_its_repository(registry: RegistryServer, name: str) -> None:
    location = registry.begin(name).headers["location"]
    other = location.replace(f"/{name}/", f"/{name}-other/")
    assert registry.ask("GET", other).status == 404


def test_content_of_another_digest_is_refused(registry: RegistryServer, name: str) -> None:
    """end-6: 400 with DIGEST_INVALID; nothing is kept."""
    for path in (
        with_query(registry.begin(name).headers["location"], digest=digest(b"right")),
        with_query(f"/v2/{name}/blobs/uploads/", digest=digest(b"right")),
    ):
        answer = registry.ask("PUT" if "uploads/?" not in path else "POST", path, b"wrong")
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    for data in (b"right", b"wrong"):
        assert registry.ask("HEAD", f"/v2/{name}/blobs/{digest(data)}").status == 404
    assert not list((registry.root / f"docker/registry/v2/repositories/{name}").rglob("data"))


@pytest.mark.parametrize("given", ["", "sha256:short", "crc32:00000000"])
def test_an_upload_needs_a_digest_to_be_closed(
    registry: RegistryServer, name: str, given: str
) -> None:
    """end-6: <digest> is required."""
    location = registry.begin(name).headers["location"]
    answer = registry.ask("PUT", with_query(location, digest=given), b"x")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


def test_a_blob_is_mounted_from_another_repository(registry: RegistryServer, name: str) -> None:
    """end-11, "Mounting a blob from another repository"."""
    named = registry.push_blob(name, b"shared")
    answer = registry.begin(f"{name}/two", mount=named, **{"from": name})
    assert answer.status == 201
    assert registry.ask("GET", answer.headers["location"]).body == b"shared"


def test_what_cannot_be_mounted_is_uploaded(registry: RegistryServer, name: str) -> None:
    """end-11: "MUST return 202 ... and a Location" when it is not mounted."""
    named = digest(b"nobody has this")
    for source in (name, "no/such/repository", "NOT A NAME", ""):
        assert registry.begin(f"{name}/two", mount=named, **{"from": source}).status == 202
    assert registry.begin(f"{name}/two", mount=named).status == 202


def test_a_manifest_is_pushed_under_a_tag(registry: RegistryServer, name: str) -> None:
    """end-7a, "Pushing manifests": 201 with a Location."""
    config, layer = b"{}", b"layer"
    for data in (config, layer):
        registry.push_blob(name, data)
    document = json.dumps(manifest(config, [layer])).encode()
    answer = registry.push_manifest(name, "v1", document)
    assert answer.status == 201
    assert answer.headers["docker-content-digest"] == digest(document)
    assert registry.ask("GET", answer.headers["location"]).body == document
    assert "oci-subject" not in answer.headers


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_manifest_is_pushed_under_its_digest(
    registry: RegistryServer, name: str, algorithm: str
) -> None:
    """end-7a: <reference> may be a digest."""
    registry.push_blob(name, b"{}")
    document = json.dumps(manifest(b"{}", [])).encode()
    named = digest(document, algorithm)
    answer = registry.push_manifest(name, named, document)
    assert (answer.status, answer.headers["docker-content-digest"]) == (201, named)
    assert registry.ask("GET", f"/v2/{name}/manifests/{named}").body == document
    wrong = registry.push_manifest(name, digest(b"other", algorithm), document)
    assert (wrong.status, wrong.code) == (400, "DIGEST_INVALID")


def test_a_push_by_digest_may_name_tags(registry: RegistryServer, name: str) -> None:
    """end-7b, newer than 1.1."""
    registry.push_blob(name, b"{}")
    document = json.dumps(manifest(b"{}", [])).encode()
    path = f"/v2/{name}/manifests/{digest(document)}?tag=one&tag=two"
    assert registry.ask("PUT", path, document).status == 201
    assert registry.ask("GET", f"/v2/{name}/tags/list").json()["tags"] == ["one", "two"]


def test_a_tag_moves_to_what_was_pushed_last(registry: RegistryServer, name: str) -> None:
    first = registry.push_image(name, "v1", b"one")
    second = registry.push_image(name, "v1", b"two")
    assert registry.ask("GET", f"/v2/{name}/manifests/v1").body == second
    assert registry.ask("GET", f"/v2/{name}/manifests/{digest(first)}").body == first


def test_a_manifest_needs_its_blobs(registry: RegistryServer, name: str) -> None:
    """ "Pushing manifests": MANIFEST_BLOB_UNKNOWN for blobs that were not pushed; code-6."""
    registry.push_blob(name, b"{}")
    answer = registry.push_manifest(name, "v1", manifest(b"{}", [b"missing"]))
    assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert digest(b"missing") in answer.json()["errors"][0]["detail"]["digests"]
    assert registry.ask("GET", f"/v2/{name}/manifests/v1").status == 404


def test_blobs_of_another_repository_are_not_a_manifests_own(
    registry: RegistryServer, name: str
) -> None:
    registry.push_image(name, "v1")
    config = json.dumps({"architecture": "amd64", "os": "linux", "n": digest(b"layer")}).encode()
    answer = registry.push_manifest(f"{name}/two", "v1", manifest(config, [b"layer"]))
    assert answer.code == "MANIFEST_BLOB_UNKNOWN"


def test_a_layer_that_lies_elsewhere_need_not_be_pushed(
    registry: RegistryServer, name: str
) -> None:
    """Image specification, descriptors: `urls`; non-distributable layers."""
    registry.push_blob(name, b"{}")
    document = manifest(b"{}", [b"far away"])
    document["layers"][0]["urls"] = ["https://example.com/layer"]
    assert registry.push_manifest(name, "v1", document).status == 201


def test_an_index_is_pushed_after_its_manifests(registry: RegistryServer, name: str) -> None:
    image = registry.push_image(name, "amd64")
    assert registry.push_manifest(name, "all", index(image)).status == 201
    answer = registry.ask("GET", f"/v2/{name}/manifests/all")
    assert answer.headers["content-type"] == OCI_INDEX
    missing = registry.push_manifest(name, "more", index(image, b"not pushed"))
    assert missing.code == "MANIFEST_BLOB_UNKNOWN"


def test_dockers_documents_keep_their_type(registry: RegistryServer, name: str) -> None:
    """Docker schema 2 manifests and lists are served as what they are."""
    registry.push_blob(name, b"{}")
    image = json.dumps(manifest(b"{}", [], mediaType=DOCKER_MANIFEST)).encode()
    assert registry.push_manifest(name, "one", image).status == 201
    assert registry.push_manifest(name, "all", index(image, mediaType=DOCKER_LIST)).status == 201
    for tag, kind in (("one", DOCKER_MANIFEST), ("all", DOCKER_LIST)):
        answer = registry.ask("GET", f"/v2/{name}/manifests/{tag}")
        assert answer.headers["content-type"] == kind


def test_a_manifest_without_a_media_type_is_what_it_was_sent_as(
    registry: RegistryServer, name: str
) -> None:
    """Image specification: mediaType SHOULD be there; a document without is an OCI one."""
    registry.push_blob(name, b"{}")
    document = manifest(b"{}", [])
    del document["mediaType"]
    answer = registry.push_manifest(name, "v1", document)
    assert answer.status == 201
    got = registry.ask("GET", f"/v2/{name}/manifests/v1")
    assert got.headers["content-type"] == "application/vnd.oci.image.manifest.v1+json"


def test_schema_1_is_refused_by_name(registry: RegistryServer, name: str) -> None:
    """It is gone from newer registries; the message says what to push instead."""
    document = {"schemaVersion": 1, "name": name, "tag": "v1", "fsLayers": [], "history": []}
    for kind in ("application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json"):
        answer = registry.push_manifest(name, "v1", document, kind)
        assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
        assert "schema 1" in answer.json()["errors"][0]["message"]


WRONG = {
    "both kinds": {**manifest(b"{}", []), "manifests": []},
    "no layers": {key: value for key, value in manifest(b"{}", []).items() if key != "layers"},
    "nothing": {"schemaVersion": 2},
    "schema 3": manifest(b"{}", [], schemaVersion=3),
    "another kind": manifest(b"{}", [], mediaType=OCI_INDEX),
    "unknown kind": manifest(b"{}", [], mediaType="application/x-unknown"),
    "bad digest": manifest(b"{}", [], config={**descriptor(b"{}", OCI_CONFIG), "digest": "../.."}),
    "bad size": manifest(b"{}", [], config={**descriptor(b"{}", OCI_CONFIG), "size": -1}),
    "size as text": manifest(b"{}", [], config={**descriptor(b"{}", OCI_CONFIG), "size": "2"}),
    "a list": [1],
}


@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_a_document_that_is_no_manifest_is_refused(
    registry: RegistryServer, name: str, wrong: str
) -> None:
    """code-5, MANIFEST_INVALID."""
    registry.push_blob(name, b"{}")
    data = json.dumps(WRONG[wrong]).encode()
    answer = registry.ask("PUT", f"/v2/{name}/manifests/v1", data)
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


def test_a_key_twice_is_refused(registry: RegistryServer, name: str) -> None:
    """Two readers could see two manifests."""
    registry.push_blob(name, b"{}")
    plain = json.dumps(manifest(b"{}", []))
    twice = plain[:-1] + ', "layers": []}'
    answer = registry.ask("PUT", f"/v2/{name}/manifests/v1", twice.encode())
    assert answer.code == "MANIFEST_INVALID"


def test_a_manifest_sent_as_another_type_is_refused(registry: RegistryServer, name: str) -> None:
    """Content-Type and mediaType must agree (CVE-2021-41190)."""
    registry.push_blob(name, b"{}")
    answer = registry.push_manifest(name, "v1", manifest(b"{}", []), OCI_INDEX)
    assert answer.code == "MANIFEST_INVALID"


def test_a_manifest_that_is_too_large_is_refused(registry: RegistryServer, name: str) -> None:
    """end-7a: 413; at least 4 MiB must be accepted."""
    registry.push_blob(name, b"{}")
    fits = manifest(b"{}", [], annotations={"a": "x" * (4 * 1024 * 1024 - 2000)})
    assert registry.push_manifest(name, "fits", fits).status == 201
    answer = registry.ask("PUT", f"/v2/{name}/manifests/v1", b" " * (4 * 1024 * 1024 + 1))
    assert (answer.status, answer.code) == (413, "SIZE_INVALID")


@pytest.mark.parametrize("tag", [".dot", "-dash", "a" * 129, "sp%20ace"])
def test_what_is_no_tag_is_refused(registry: RegistryServer, name: str, tag: str) -> None:
    """The grammar of <tag>."""
    registry.push_blob(name, b"{}")
    answer = registry.push_manifest(name, tag, manifest(b"{}", []))
    assert (answer.status, answer.code) == (400, "TAG_INVALID")


def test_a_manifest_with_a_subject_is_acknowledged(registry: RegistryServer, name: str) -> None:
    """ "Pushing Manifests with Subject": OCI-Subject, also before the subject is there."""
    registry.push_blob(name, b"{}")
    subject = b'{"not": "pushed yet"}'
    document = manifest(b"{}", [], subject=descriptor(subject, "application/json"))
    answer = registry.push_manifest(name, digest(json.dumps(document).encode()), document)
    assert answer.status == 201
    assert answer.headers["oci-subject"] == digest(subject)


def test_an_artifact_without_config_is_a_manifest(registry: RegistryServer, name: str) -> None:
    """Image specification, "Guidelines for Artifact Usage": the empty descriptor."""
    registry.push_blob(name, b"{}")
    empty = descriptor(b"{}", EMPTY)
    document = manifest(b"{}", [], config=empty, layers=[empty], artifactType="text/x-note")
    assert registry.push_manifest(name, "note", document).status == 201


def test_the_same_blob_may_be_pushed_again(registry: RegistryServer, name: str) -> None:
    for _ in range(2):
        registry.push_blob(name, b"again")


def test_unknown_layer_types_are_kept(registry: RegistryServer, name: str) -> None:
    """ "Registries MUST store manifests with layers of media types unknown to them"."""
    for data in (b"{}", b"model"):
        registry.push_blob(name, data)
    layer = descriptor(b"model", "application/vnd.example.model+json")
    assert layer["mediaType"] != OCI_LAYER
    document = manifest(b"{}", [], layers=[layer])
    assert registry.push_manifest(name, "v1", document).status == 201
