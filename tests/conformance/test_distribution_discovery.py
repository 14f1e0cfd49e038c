"""OCI distribution specification 1.1, "Content Discovery"."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.support.registry_server import (
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryServer,
    descriptor,
    digest,
    index,
    manifest,
)

SUBJECT = b'{"some": "manifest"}'


def push_tags(registry: RegistryServer, name: str, *tags: str) -> None:
    data = registry.push_image(name, tags[0])
    for tag in tags[1:]:
        assert registry.push_manifest(name, tag, data).status == 201


def all_pages(registry: RegistryServer, path: str, key: str) -> list[list[str]]:
    """Follow the links, as a client would."""
    pages: list[list[str]] = []
    while path:
        answer = registry.ask("GET", path)
        assert answer.status == 200
        pages.append(answer.json()[key])
        link = re.fullmatch(r'<([^>]*)>; *rel="next"', answer.headers.get("link", ""))
        path = link[1] if link else ""
    return pages


def test_tags_are_listed_in_order(registry: RegistryServer, name: str) -> None:
    """end-8a: sorted lexically."""
    push_tags(registry, name, "v2", "latest", "v10", "V1")
    answer = registry.ask("GET", f"/v2/{name}/tags/list")
    assert answer.status == 200
    assert answer.json() == {"name": name, "tags": ["V1", "latest", "v10", "v2"]}


def test_tags_come_in_pages(registry: RegistryServer, name: str) -> None:
    """end-8b: n and last, and Link as of RFC 5988."""
    push_tags(registry, name, "a", "b", "c", "d", "e")
    pages = all_pages(registry, f"/v2/{name}/tags/list?n=2", "tags")
    assert pages == [["a", "b"], ["c", "d"], ["e"]]


def test_last_alone_goes_on_after_it(registry: RegistryServer, name: str) -> None:
    """end-8b: `last` need not be a tag that exists."""
    push_tags(registry, name, "a", "c", "e")
    answer = registry.ask("GET", f"/v2/{name}/tags/list?last=b")
    assert answer.json()["tags"] == ["c", "e"]


def test_none_are_asked_for_and_none_are_given(registry: RegistryServer, name: str) -> None:
    """end-8b: "When n is zero, this endpoint MUST return an empty list"; without a Link."""
    push_tags(registry, name, "a")
    answer = registry.ask("GET", f"/v2/{name}/tags/list?n=0")
    assert answer.json()["tags"] == []
    assert "link" not in answer.headers


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "9" * 30])
def test_a_number_that_is_none_is_refused(registry: RegistryServer, name: str, number: str) -> None:
    push_tags(registry, name, "a")
    answer = registry.ask("GET", f"/v2/{name}/tags/list?n={number}")
    assert (answer.status, answer.code) == (400, "PAGINATION_NUMBER_INVALID")


def test_tags_of_no_repository_are_unknown(registry: RegistryServer, name: str) -> None:
    """end-8a: 404; code-10, NAME_UNKNOWN."""
    answer = registry.ask("GET", f"/v2/{name}/tags/list")
    assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


def test_repositories_are_listed_in_pages(registry: RegistryServer, name: str) -> None:
    """The catalog of Docker's registry."""
    names = [f"{name}-{part}" for part in ("a", "a/b", "b")]
    for one in names:
        registry.push_image(one, "v1")
    found = [
        one for page in all_pages(registry, "/v2/_catalog?n=1", "repositories") for one in page
    ]
    assert [one for one in found if one in names] == names
    assert found == sorted(found)
    assert registry.ask("GET", f"/v2/_catalog?n={10**18}").status == 200
    none = registry.ask("GET", "/v2/_catalog?n=0")
    assert (none.json(), "link" in none.headers) == ({"repositories": []}, False)


def push_referrer(registry: RegistryServer, name: str, kind: str, **more: Any) -> bytes:
    registry.push_blob(name, b"{}")
    subject = descriptor(SUBJECT, OCI_MANIFEST)
    data = json.dumps(manifest(b"{}", [], subject=subject, artifactType=kind, **more)).encode()
    assert registry.push_manifest(name, digest(data), data).status == 201
    return data


def referrers(registry: RegistryServer, name: str, query: str = "") -> Any:
    answer = registry.ask("GET", f"/v2/{name}/referrers/{digest(SUBJECT)}{query}")
    assert answer.status == 200
    assert answer.headers["content-type"] == OCI_INDEX
    return answer.json()


def test_what_nothing_refers_to_has_an_empty_list(registry: RegistryServer, name: str) -> None:
    """end-12a: "If the query has no results ... an empty manifest list", never 404."""
    assert referrers(registry, name) == {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [],
    }


def test_referrers_are_listed_with_type_and_annotations(
    registry: RegistryServer, name: str
) -> None:
    """end-12a, "Listing Referrers": artifactType and annotations are in the descriptors."""
    data = push_referrer(registry, name, "application/x-sbom", annotations={"made": "today"})
    assert referrers(registry, name)["manifests"] == [
        {
            "mediaType": OCI_MANIFEST,
            "digest": digest(data),
            "size": len(data),
            "artifactType": "application/x-sbom",
            "annotations": {"made": "today"},
        }
    ]


def test_the_configs_type_stands_in_for_the_artifacts(registry: RegistryServer, name: str) -> None:
    """ "If the artifactType is empty or missing ... the config descriptor's mediaType"."""
    registry.push_blob(name, b"{}")
    config = descriptor(b"{}", "application/x-config")
    subject = descriptor(SUBJECT, OCI_MANIFEST)
    data = json.dumps(manifest(b"{}", [], config=config, subject=subject)).encode()
    registry.push_manifest(name, digest(data), data)
    (found,) = referrers(registry, name)["manifests"]
    assert found["artifactType"] == "application/x-config"


def test_an_index_may_refer_too(registry: RegistryServer, name: str) -> None:
    """An index with a subject is listed as an index; without artifactType it has none."""
    data = json.dumps(index(subject=descriptor(SUBJECT, OCI_MANIFEST))).encode()
    assert registry.push_manifest(name, digest(data), data).status == 201
    (found,) = referrers(registry, name)["manifests"]
    assert found["mediaType"] == OCI_INDEX
    assert "artifactType" not in found


def test_referrers_are_filtered_by_type(registry: RegistryServer, name: str) -> None:
    """end-12b: OCI-Filters-Applied says that the filter was heeded."""
    data = push_referrer(registry, name, "application/x-sbom")
    push_referrer(registry, name, "application/x-signature")
    path = f"/v2/{name}/referrers/{digest(SUBJECT)}?artifactType=application/x-sbom"
    answer = registry.ask("GET", path)
    assert [one["digest"] for one in answer.json()["manifests"]] == [digest(data)]
    assert answer.headers["oci-filters-applied"] == "artifactType"
    assert len(referrers(registry, name)["manifests"]) == 2


def test_referrers_of_what_is_no_digest_are_refused(registry: RegistryServer, name: str) -> None:
    """end-12a: 400."""
    assert registry.ask("GET", f"/v2/{name}/referrers/sha256:short").status == 400


def test_referrers_belong_to_a_repository(registry: RegistryServer, name: str) -> None:
    push_referrer(registry, name, "application/x-sbom")
    assert not referrers(registry, f"{name}/two")["manifests"]


def test_a_deleted_referrer_is_not_listed(registry: RegistryServer, name: str) -> None:
    data = push_referrer(registry, name, "application/x-sbom")
    assert registry.ask("DELETE", f"/v2/{name}/manifests/{digest(data)}").status == 202
    assert not referrers(registry, name)["manifests"]


def test_many_referrers_come_in_pages(registry: RegistryServer, name: str) -> None:
    """end-12a: a Link when the list is not the whole."""
    pushed = set()
    for number in range(3):
        pushed.add(
            digest(push_referrer(registry, name, "text/x-n", annotations={"n": str(number)}))
        )
    found = referrers(registry, name, f"?last={min(pushed)}")["manifests"]
    assert {one["digest"] for one in found} == pushed - {min(pushed)}


def test_the_referrers_tag_is_a_tag_as_any_other(registry: RegistryServer, name: str) -> None:
    """ "Referrers Tag Schema": clients of registries without the API write and read this tag."""
    data = registry.push_image(name, "v1")
    tag = digest(SUBJECT).replace(":", "-")
    document = json.dumps(index(data)).encode()
    assert registry.push_manifest(name, tag, document).status == 201
    assert registry.ask("GET", f"/v2/{name}/manifests/{tag}").body == document


def test_referrers_that_another_server_has_written_are_found(
    registry: RegistryServer, name: str
) -> None:
    """ "Enabling the Referrers API": what was pushed before is listed too."""
    data = push_referrer(registry, name, "application/x-sbom")
    folder = registry.root / f"docker/registry/v2/repositories/{name}/_manifests/referrers"
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    folder.rmdir()
    assert [one["digest"] for one in referrers(registry, name)["manifests"]] == [digest(data)]
