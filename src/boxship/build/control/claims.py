"""What a client or a frontend returns to be attested of its results, in the builder's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from boxship.build.ops import Ref
from boxship.build.statements import Claim, Subject
from boxship.errors import InvalidRequest
from boxship.spec.buildkit import gateway_pb2 as pb

MOST: Final = 1000
INLINE_ONLY: Final = "inline-only"
DIGEST: Final = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([0-9a-f]{32,128})")
TRUE: Final = frozenset({b"1", b"t", b"T", b"true", b"TRUE", b"True"})

Find = Callable[[str], Ref | None]


def read(
    said: Mapping[str, pb.Attestations], keys: Collection[str], find: Find
) -> dict[str, tuple[Claim, ...]]:
    """Return the claims about each result of `keys`; `find` returns results by their names.

    A single result has the key "" here, and is called by its platform there.
    """
    if sum(len(each.attestation) for each in said.values()) > MOST:
        raise InvalidRequest("too many attestations")
    if list(keys) == [""] and len(said) == 1:
        said = {"": next(iter(said.values()))}
    for key in said:
        if key not in keys:
            raise InvalidRequest(f"attestations of a result that was not returned: {key[:100]!r}")
    return {key: tuple(_claim(one, find) for one in each.attestation) for key, each in said.items()}


def _claim(one: pb.Attestation, find: Find) -> Claim:
    if one.kind not in (pb.IN_TOTO, pb.BUNDLE):
        raise InvalidRequest(f"unknown attestation kind: {one.kind}")
    bundle = one.kind == pb.BUNDLE
    if not bundle and not (one.path and one.predicate_type):
        raise InvalidRequest("an attestation without the path of its predicate, or without a type")
    return Claim(
        root=find(one.ref.id) if one.ref.id else None,
        path=one.path or "/",
        kind=one.predicate_type,
        bundle=bundle,
        about=_subjects(one.subjects),
        inline_only=one.metadata.get(INLINE_ONLY, b"") in TRUE,
    )


def _subjects(said: Sequence[pb.Subject]) -> tuple[Subject, ...]:
    found = list[Subject]()
    for one in said:
        if one.kind == pb.SELF:
            found.append(Subject(one.name))
        elif one.kind == pb.RAW and one.digest:
            found.append(Subject(one.name, dict(map(_digest, one.digest))))
        else:
            raise InvalidRequest("an attestation about nothing that is known")
    return tuple(found)


def _digest(said: str) -> tuple[str, str]:
    """Read a digest of whatever algorithm: those of commits are of others than ours."""
    if (found := DIGEST.fullmatch(said)) is None:
        raise InvalidRequest(f"invalid digest: {said[:100]!r}")
    return found[1], found[2]
