"""OCI distribution specification 1.1, "Pull" and the endpoints it uses."""

from __future__ import annotations

import pytest
from tests.support.registry_server import OCI_MANIFEST, RegistryServer, digest

NOBODY = digest(b"nobody has pushed this")


def test_the_base_says_that_this_is_a_registry(registry: RegistryServer) -> None:
    """end-1, "Determining Support": GET /v2/ answers 200."""
    answer = registry.ask("GET", "/v2/")
    assert answer.status == 200
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


def test_a_manifest_is_pulled_by_its_tag(registry: RegistryServer, name: str) -> None:
    """end-3, "Pulling manifests": the answer is the manifest, byte for byte."""
    data = registry.push_image(name, "v1")
    answer = registry.ask("GET", f"/v2/{name}/manifests/v1", Accept=OCI_MANIFEST)
    assert (answer.status, answer.body) == (200, data)
    assert answer.headers["content-type"] == OCI_MANIFEST
    assert answer.headers["docker-content-digest"] == digest(data)


def test_a_manifest_is_pulled_by_its_digest(registry: RegistryServer, name: str) -> None:
    """end-3, "Pulling manifests"."""
    data = registry.push_image(name, "v1")
    answer = registry.ask("GET", f"/v2/{name}/manifests/{digest(data)}")
    assert (answer.status, answer.body) == (200, data)


@pytest.mark.parametrize("reference", ["nothing", NOBODY, ".INVALID_MANIFEST_NAME"])
def test_a_manifest_that_is_not_there_is_unknown(
    registry: RegistryServer, name: str, reference: str
) -> None:
    """end-3: "If the manifest is not found ... 404"; code-7."""
    registry.push_image(name, "v1")
    answer = registry.ask("GET", f"/v2/{name}/manifests/{reference}")
    assert (answer.status, answer.code) == (404, "MANIFEST_UNKNOWN")


def test_a_manifest_of_another_repository_is_unknown(registry: RegistryServer, name: str) -> None:
    """A digest is not a key to all repositories."""
    data = registry.push_image(name, "v1")
    assert registry.ask("GET", f"/v2/{name}/else/manifests/{digest(data)}").status == 404


def test_a_blob_is_pulled_by_its_digest(registry: RegistryServer, name: str) -> None:
    """end-2, "Pulling blobs"."""
    named = registry.push_blob(name, b"some bytes")
    answer = registry.ask("GET", f"/v2/{name}/blobs/{named}")
    assert (answer.status, answer.body) == (200, b"some bytes")
    assert answer.headers["docker-content-digest"] == named
    assert answer.headers["content-length"] == "10"


def test_an_empty_blob_is_a_blob(registry: RegistryServer, name: str) -> None:
    named = registry.push_blob(name, b"")
    answer = registry.ask("GET", f"/v2/{name}/blobs/{named}")
    assert (answer.status, answer.body) == (200, b"")


def test_a_blob_that_is_not_there_is_unknown(registry: RegistryServer, name: str) -> None:
    """end-2: 404; code-1."""
    answer = registry.ask("GET", f"/v2/{name}/blobs/{NOBODY}")
    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")


def test_a_blob_of_another_repository_is_unknown(registry: RegistryServer, name: str) -> None:
    """Who may read one repository must not be able to read another's content by its digest."""
    named = registry.push_blob(name, b"private")
    assert registry.ask("HEAD", f"/v2/{name}-other/blobs/{named}").status == 404


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_head_says_what_get_would_without_the_body(
    registry: RegistryServer, name: str, kind: str
) -> None:
    """end-2, end-3, "Checking if content exists in the registry"."""
    data = registry.push_image(name, "v1")
    named = registry.push_blob(name, data) if kind == "blobs" else digest(data)
    answer = registry.ask("HEAD", f"/v2/{name}/{kind}/{named}")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["docker-content-digest"] == digest(data)
    assert registry.ask("HEAD", f"/v2/{name}/{kind}/{NOBODY}").status == 404


def test_a_failure_to_head_has_no_body(registry: RegistryServer, name: str) -> None:
    connection = registry.connect()
    connection.request("HEAD", f"/v2/{name}/blobs/{NOBODY}")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (404, b"")
    connection.request("GET", "/v2/")  # the connection is still in step
    assert connection.getresponse().read() == b"{}"
    connection.close()


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=2-5", 2, 5), ("bytes=7-", 7, 9), ("bytes=-3", 7, 9), ("bytes=0-100", 0, 9)],
)
def test_a_part_of_a_blob_is_pulled(
    registry: RegistryServer, name: str, asked: str, first: int, last: int
) -> None:
    """end-2: "A registry SHOULD support the Range request header"."""
    data = b"0123456789"
    named = registry.push_blob(name, data)
    answer = registry.ask("GET", f"/v2/{name}/blobs/{named}", Range=asked)
    assert (answer.status, answer.body) == (206, data[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/10"


def test_a_part_beyond_the_end_is_refused(registry: RegistryServer, name: str) -> None:
    """RFC 9110, 15.5.17."""
    named = registry.push_blob(name, b"0123456789")
    for asked in ("bytes=10-", "bytes=-0"):
        answer = registry.ask("GET", f"/v2/{name}/blobs/{named}", Range=asked)
        assert (answer.status, answer.code) == (416, "RANGE_INVALID")
        assert answer.headers["content-range"] == "bytes */10"


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=5-2", "bytes=0-1,4-5", "bytes=-", "x"])
def test_what_is_no_single_range_is_not_heeded(
    registry: RegistryServer, name: str, asked: str
) -> None:
    """RFC 9110, 14.2: a server may ignore the Range header field."""
    named = registry.push_blob(name, b"0123456789")
    answer = registry.ask("GET", f"/v2/{name}/blobs/{named}", Range=asked)
    assert (answer.status, answer.body) == (200, b"0123456789")


def test_what_a_client_has_is_not_sent_again(registry: RegistryServer, name: str) -> None:
    """RFC 9110, 13.1.2: If-None-Match."""
    data = registry.push_image(name, "v1")
    for path in (f"manifests/{digest(data)}", "manifests/v1"):
        answer = registry.ask("GET", f"/v2/{name}/{path}", If_None_Match=f'"{digest(data)}"')
        assert (answer.status, answer.body) == (304, b"")
    changed = registry.ask("GET", f"/v2/{name}/manifests/v1", If_None_Match='"sha256:other"')
    assert changed.status == 200


def test_an_if_range_of_other_content_gets_all(registry: RegistryServer, name: str) -> None:
    """RFC 9110, 13.1.5."""
    named = registry.push_blob(name, b"0123456789")
    headers = {"Range": "bytes=2-3", "If_Range": '"sha256:other"'}
    assert registry.ask("GET", f"/v2/{name}/blobs/{named}", **headers).status == 200
    headers["If_Range"] = f'"{named}"'
    assert registry.ask("GET", f"/v2/{name}/blobs/{named}", **headers).status == 206


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_content_is_known_by_any_registered_algorithm(
    registry: RegistryServer, name: str, algorithm: str
) -> None:
    """ "Digests": sha256 must, sha512 may be supported."""
    named = registry.push_blob(name, b"some bytes", algorithm)
    assert registry.ask("GET", f"/v2/{name}/blobs/{named}").body == b"some bytes"


@pytest.mark.parametrize(
    "wrong", ["sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:" + "G" * 64]
)
def test_what_is_no_digest_is_refused(registry: RegistryServer, name: str, wrong: str) -> None:
    """code-4, DIGEST_INVALID."""
    answer = registry.ask("GET", f"/v2/{name}/blobs/{wrong}")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("wrong", ["Upper", "a//b", "a/-b", "a..b", "a/_b", "a" * 256, "ä"])
def test_what_is_no_name_is_refused(registry: RegistryServer, wrong: str) -> None:
    """The grammar of <name>; code-9, NAME_INVALID."""
    path = f"/v2/{wrong}/tags/list".encode().decode("latin-1")
    answer = registry.ask("GET", path.replace("Ã¤", "%C3%A4"))
    assert (answer.status, answer.code) == (400, "NAME_INVALID")


@pytest.mark.parametrize("words", ["manifests", "blobs/uploads", "tags/list", "referrers"])
def test_a_name_may_hold_the_protocols_own_words(registry: RegistryServer, words: str) -> None:
    """The grammar of <name> reserves nothing."""
    data = registry.push_image(f"{words}/a", "v1")
    answer = registry.ask("GET", f"/v2/{words}/a/manifests/v1")
    assert (answer.status, answer.body) == (200, data)
