"""OCI distribution specification 1.1, "Content Management", and failures."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.registry_server import RegistryServer, digest, registry_server


def test_a_tag_is_deleted_and_its_manifest_stays(registry: RegistryServer, name: str) -> None:
    """end-9, "Deleting tags"."""
    data = registry.push_image(name, "v1")
    assert registry.ask("DELETE", f"/v2/{name}/manifests/v1").status == 202
    assert registry.ask("GET", f"/v2/{name}/manifests/v1").status == 404
    assert registry.ask("GET", f"/v2/{name}/manifests/{digest(data)}").status == 200
    assert registry.ask("GET", f"/v2/{name}/tags/list").json()["tags"] == []


def test_a_manifest_is_deleted_with_its_tags(registry: RegistryServer, name: str) -> None:
    """end-9, "Deleting Manifests"."""
    data = registry.push_image(name, "v1")
    registry.push_manifest(name, "v2", data)
    registry.push_image(name, "other", b"other")
    assert registry.ask("DELETE", f"/v2/{name}/manifests/{digest(data)}").status == 202
    for reference in ("v1", "v2", digest(data)):
        assert registry.ask("GET", f"/v2/{name}/manifests/{reference}").status == 404
    assert registry.ask("GET", f"/v2/{name}/tags/list").json()["tags"] == ["other"]


def test_a_blob_is_deleted_from_one_repository(registry: RegistryServer, name: str) -> None:
    """end-10, "Deleting Blobs"."""
    named = registry.push_blob(name, b"bytes")
    registry.begin(f"{name}/two", mount=named, **{"from": name})
    assert registry.ask("DELETE", f"/v2/{name}/blobs/{named}").status == 202
    assert registry.ask("HEAD", f"/v2/{name}/blobs/{named}").status == 404
    assert registry.ask("HEAD", f"/v2/{name}/two/blobs/{named}").status == 200


@pytest.mark.parametrize(
    "path", ["manifests/nothing", f"manifests/{digest(b'x')}", f"blobs/{digest(b'x')}"]
)
def test_what_is_not_there_cannot_be_deleted(
    registry: RegistryServer, name: str, path: str
) -> None:
    """end-9, end-10: 404."""
    registry.push_image(name, "v1")
    assert registry.ask("DELETE", f"/v2/{name}/{path}").status == 404


def test_deleting_may_be_disabled(tmp_path: Path) -> None:
    """end-9, end-10: 405 or 400 where deleting is disabled; code-12, UNSUPPORTED."""
    with registry_server(tmp_path) as server:
        data = server.push_image("a", "v1")
        for path in ("manifests/v1", f"manifests/{digest(data)}", f"blobs/{digest(b'layer')}"):
            answer = server.ask("DELETE", f"/v2/a/{path}")
            assert (answer.status, answer.code) == (405, "UNSUPPORTED")
        assert server.ask("GET", "/v2/a/manifests/v1").body == data


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/"),
        ("PUT", "/v2/a/tags/list"),
        ("PATCH", "/v2/a/manifests/v1"),
        ("PUT", f"/v2/a/blobs/{digest(b'x')}"),
        ("DELETE", "/v2/_catalog"),
    ],
)
def test_methods_that_have_no_meaning_are_unsupported(
    registry: RegistryServer, method: str, path: str
) -> None:
    """code-12, UNSUPPORTED; Allow says what there is."""
    answer = registry.ask(method, path)
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert "GET" in answer.headers["allow"]


def test_failures_have_the_specifications_form(registry: RegistryServer, name: str) -> None:
    """ "Error Codes": a list of code, message and detail, as JSON."""
    answer = registry.ask("GET", f"/v2/{name}/manifests/nothing")
    assert answer.headers["content-type"] == "application/json"
    (error,) = answer.json()["errors"]
    assert error["code"] == "MANIFEST_UNKNOWN"
    assert isinstance(error["message"], str)
    assert error["detail"] == {"name": name, "reference": "nothing"}
