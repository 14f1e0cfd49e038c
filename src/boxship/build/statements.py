"""In-toto statements about a result: claims of a frontend's, and what a scanner has written.

They are read from results, which are hostile: beneath their roots, bounded, as strict JSON.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from boxship.build.ops import Ref
from boxship.errors import InvalidRequest
from boxship.kernel import paths
from boxship.lib import strictjson

MOST: Final = 1000  # statements
LARGEST: Final = 64 << 20  # bytes of one
SLSA: Final = "https://slsa.dev/provenance/"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a statement is about: what has the digests, and without any the result itself."""

    name: str = ""
    digest: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """The kind of a predicate, and the predicate; about the result where nobody is named.

    name: of the file that it is, or was read from.
    """

    kind: str
    predicate: Mapping[str, Any] | msgspec.Raw
    about: tuple[Subject, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be attested of a result: a predicate in a file, or statements in a folder.

    kind: the predicate's; in a folder all have it, if it is said. inline_only: it makes no index
    of a single image by itself.
    """

    root: Ref | None
    path: str
    kind: str
    bundle: bool = False
    about: tuple[Subject, ...] = ()
    inline_only: bool = False


class _About(msgspec.Struct):
    name: str = ""
    digest: dict[str, str] = {}


class _InToto(msgspec.Struct):
    """A statement as it is written."""

    predicate: msgspec.Raw
    predicate_type: str = msgspec.field(name="predicateType")
    subject: list[_About] | None = None


def of_claim(root: int, claim: Claim) -> list[Statement]:
    """Read what a claim says; InvalidRequest where that makes no sense."""
    if not claim.bundle:
        what = f"the predicate {claim.path[:100]}"
        data = paths.read_file_in_root(root, claim.path, LARGEST + 1)
        if data is None:
            raise InvalidRequest(f"{what} is not there")
        predicate = strictjson.decode(data, msgspec.Raw, what, limit=LARGEST)
        name = claim.path.rstrip("/").rpartition("/")[2]
        return [Statement(_allowed(claim.kind), predicate, claim.about, name)]
    try:
        folder = paths.open_in_root(root, claim.path, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidRequest(f"no folder of statements: {claim.path[:100]}") from None
    try:
        found = in_folder(folder, "statement")
    finally:
        os.close(folder)
    for one in found:
        if claim.kind and one.kind != claim.kind:
            raise InvalidRequest(
                f"bundle entry {one.kind[:100]} does not match required predicate type {claim.kind}"
            )
        _allowed(one.kind)
    return found


def _allowed(kind: str) -> str:
    """Return a kind that others than the builder may attest."""
    if not kind:
        raise InvalidRequest("a statement without a predicate type")
    if kind.startswith(SLSA):
        raise InvalidRequest("frontend may not set provenance attestations")
    return kind


def in_folder(folder: int, what: str) -> list[Statement]:
    """Read the statements in a folder, one in each file; `what` they are called."""
    found: list[Statement] = []
    for name in sorted(os.listdir(folder))[: MOST + 1]:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            continue
        data = paths.read_file_in_root(folder, name, LARGEST + 1) or b""
        said = strictjson.decode(data, _InToto, f"{what} {name[:100]}", limit=LARGEST)
        about = tuple(Subject(one.name, one.digest) for one in said.subject or ())
        found.append(Statement(said.predicate_type, said.predicate.copy(), about, name))
    if len(found) > MOST:
        raise InvalidRequest(f"too many statements, of which the last is {found[-1].kind[:100]}")
    return found


def described(
    about: Sequence[Subject], result: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return whom a statement is about; `result` is how the result itself is described."""
    found: list[Mapping[str, Any]] = []
    for one in about or (Subject(),):
        if one.digest:
            found.append({"name": one.name or "_", "digest": dict(one.digest)})
        else:
            found += [{**itself, **({"name": one.name} if one.name else {})} for itself in result]
    return found
