"""What frontends return to be attested of images, as the real client's builds have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import doors, frontends
from tests.support.engine import Engine

NAME = "test/claiming:1"
REVIEW = "https://example.com/review"
TESTS = "https://example.com/tests"
SPDX = "https://spdx.dev/Document"
SLSA = "https://slsa.dev/provenance/v0.2"


@pytest.fixture
def folder(engine: Engine, tmp_path: Path) -> str:
    if engine.docker("image", "inspect", NAME, check=False).returncode:
        frontends.make(engine, NAME)
    (tmp_path / "Dockerfile").write_text(f"# syntax={NAME}\n")
    return str(tmp_path)


def build(engine: Engine, folder: str, *words: str, door: str = "buildx", **args: str) -> Any:
    given = {"KIND": TESTS, "STORY": "attest", **args}
    more = [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]
    return doors.build(engine, door, *more, *words, folder, check=False)


def blob(engine: Engine, digest: str) -> Any:
    return json.loads((engine.root / "data/blobs" / digest.replace(":", "/")).read_bytes())


def statements(engine: Engine, image: str) -> dict[str, Any]:
    """Return what is attested of an image, by kind."""
    (inspected,) = json.loads(engine.docker("image", "inspect", image).stdout)
    top = blob(engine, inspected["Id"])
    (about, attested) = top["manifests"]
    assert attested["annotations"]["vnd.docker.reference.digest"] == about["digest"]
    found = {}
    for layer in blob(engine, attested["digest"])["layers"]:
        statement = blob(engine, layer["digest"])
        assert layer["annotations"]["in-toto.io/predicate-type"] == statement["predicateType"]
        found[statement["predicateType"]] = statement
    return found


@pytest.mark.parametrize("door", ["buildx", "boxship"])
@pytest.mark.parametrize("story", ["attest", "further"])
def test_what_a_frontend_claims_lies_beside_the_image(
    engine: Engine, folder: str, door: str, story: str
) -> None:
    done = build(engine, folder, "-t", "claimed:1", door=door, STORY=story)
    assert done.returncode == 0, done.stderr
    found = statements(engine, "claimed:1")
    assert sorted(set(found) - {SLSA}) == [REVIEW, TESTS]
    assert found[REVIEW]["predicate"] == {"found": 3}
    itself, commit = found[REVIEW]["subject"]
    assert itself["name"].startswith("pkg:docker/claimed@1")
    assert commit == {"name": "a commit", "digest": {"sha1": "b" * 40}}
    assert found[TESTS]["predicate"] == {"ran": ["them", 2.5]}
    assert found[TESTS]["subject"] == [{"name": "elsewhere", "digest": {"sha256": "a" * 64}}]
    engine.docker("rmi", "claimed:1")


def test_claims_join_what_the_builder_attests_itself(engine: Engine, folder: str) -> None:
    """A frontend that has told what software there is spares the builder a look."""
    words = ["-t", "claimed:2", "--provenance=mode=min", "--sbom=true"]
    assert build(engine, folder, *words).returncode == 0
    found = statements(engine, "claimed:2")
    assert sorted(found) == sorted([REVIEW, TESTS, SLSA, SPDX])
    assert found[SPDX]["predicate"]["spdxVersion"]
    materials = {one["uri"].partition("?")[0] for one in found[SLSA]["predicate"]["materials"]}
    assert materials == {"pkg:docker/test/claiming@1", "pkg:docker/busybox@latest"}
    assert build(engine, folder, *words, KIND=SPDX).returncode == 0
    found = statements(engine, "claimed:2")
    assert sorted(found) == sorted([REVIEW, SLSA, SPDX])
    assert found[SPDX]["predicate"] == {"ran": ["them", 2.5]}
    engine.docker("rmi", "claimed:2")


def test_what_is_for_an_index_only_makes_none(engine: Engine, folder: str) -> None:
    words = ["-t", "claimed:3", "--provenance=false"]
    assert build(engine, folder, *words, INLINE_ONLY="true").returncode == 0
    (inspected,) = json.loads(engine.docker("image", "inspect", "claimed:3").stdout)
    assert "layers" in blob(engine, inspected["Id"])
    engine.docker("rmi", "claimed:3")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"KIND": SLSA}, "frontend may not set provenance attestations"),
        ({"KIND": ""}, "without a predicate type"),
        ({"PLACE": "/nowhere"}, "no folder of statements: /nowhere"),
        ({"PLACE": "/said/one"}, "no folder of statements: /said/one"),
    ],
)
def test_claims_that_cannot_be_made_end_the_build(
    engine: Engine, folder: str, arguments: dict[str, str], said: str
) -> None:
    done = build(engine, folder, **arguments)
    assert done.returncode
    assert said in done.stderr
