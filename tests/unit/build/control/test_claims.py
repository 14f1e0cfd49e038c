"""What is returned to be attested, read from messages and from files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from boxship.build import ops, statements
from boxship.build.control import claims
from boxship.build.statements import Claim, Statement, Subject
from boxship.errors import InvalidRequest
from boxship.spec.buildkit import gateway_pb2 as pb

KIND = "https://example.com/kind"
REF = ops.Ref(ops.Vertex(ops.Source("local://x")))


def said(*keys: str, **more: object) -> dict[str, pb.Attestations]:
    fields: dict[str, object] = {"path": "/p", "predicate_type": KIND, **more}
    one = pb.Attestation(ref=pb.Ref(id="name"), **fields)  # type: ignore[arg-type]
    return {key: pb.Attestations(attestation=[one]) for key in keys}


def test_claims_belong_to_results_by_platform() -> None:
    claim = Claim(REF, "/p", KIND)
    assert claims.read(said("a", "b"), {"a": "", "b": "", "c": ""}, lambda name: REF) == {
        "a": (claim,),
        "b": (claim,),
    }
    assert claims.read(said("linux/amd64"), {"": ""}, lambda name: REF) == {"": (claim,)}


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (said("b"), "not returned"),
        (said("a", kind=7), "unknown attestation kind"),
        (said("a", path=""), "without the path"),
        (said("a", predicate_type=""), "or without a type"),
        (said("a", subjects=[pb.Subject(kind=pb.RAW)]), "about nothing"),
        (said("a", subjects=[pb.Subject(kind=pb.RAW, digest=["sha256:../x"])]), "invalid digest"),
        ({"a": pb.Attestations(attestation=[pb.Attestation()] * 1001)}, "too many"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, pb.Attestations], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        claims.read(wrong, {"a": "", "c": ""}, lambda name: REF)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_PATH)
    yield opened
    os.close(opened)


def test_a_predicate_keeps_its_bytes(root: int, tmp_path: Path) -> None:
    (tmp_path / "it").write_text('{"n": 1.50}')
    (found,) = statements.of_claim(root, Claim(None, "it", KIND))
    assert found == Statement(KIND, msgspec.Raw(b'{"n": 1.50}'), name="it")


def test_statements_stay_beneath_the_result(root: int, tmp_path: Path) -> None:
    """A link is followed as the result's own programs would see it."""
    (tmp_path / "out").symlink_to("/etc")
    with pytest.raises(InvalidRequest, match="no folder of statements"):
        statements.of_claim(root, Claim(None, "out", "", bundle=True))
    with pytest.raises(InvalidRequest, match="is not there"):
        statements.of_claim(root, Claim(None, "../../etc/passwd", KIND))


def test_all_of_a_folder_has_the_kind_that_is_said(root: int, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"predicateType": KIND, "predicate": {}}))
    found = statements.of_claim(root, Claim(None, "/", KIND, bundle=True))
    assert [one.kind for one in found] == [KIND]
    with pytest.raises(InvalidRequest, match="does not match required predicate type"):
        statements.of_claim(root, Claim(None, "/", "other", bundle=True))


def test_a_statement_is_about_the_result_unless_it_names_something_else() -> None:
    result = [{"name": "image", "digest": {"sha256": "1"}}]
    other = Subject("it", {"sha1": "2"})
    assert statements.described((), result) == result
    assert statements.described((Subject("mine"), other, Subject("", {"sha1": "3"})), result) == [
        {"name": "mine", "digest": {"sha256": "1"}},
        {"name": "it", "digest": {"sha1": "2"}},
        {"name": "_", "digest": {"sha1": "3"}},
    ]
