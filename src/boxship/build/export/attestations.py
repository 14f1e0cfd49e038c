"""Statements about an image, as a manifest that its index lists beside the image's own.

index ── manifest                  the image
      └─ manifest, unknown/unknown  in-toto statements as layers; annotations say about whom
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from boxship.build.export import documents, provenance, sbom
from boxship.build.export.provenance import Course
from boxship.build.filesystems import Filesystems, Value
from boxship.build.ops import ancestry
from boxship.build.request import BuildRequest
from boxship.build.statements import Statement, described
from boxship.content.store import Blobs, Lease
from boxship.lib import strictjson
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, Manifest
from boxship.spec.platform import Platform

if TYPE_CHECKING:
    from boxship.build.export.images import Part

STATEMENT: Final = "https://in-toto.io/Statement/v0.1"
IN_TOTO: Final = "application/vnd.in-toto+json"
PREDICATE: Final = "in-toto.io/predicate-type"
PROVENANCE_FILE: Final = "provenance.json"
SBOM_FILE: Final = "sbom.spdx.json"
UNKNOWN: Final = Platform("unknown", "unknown")


def wanted(request: BuildRequest, parts: Sequence[Part]) -> bool:
    """Whether anything is to be attested for which an index is made."""
    claims = (claim for part in parts for claim in part.target.claims)
    return _by_us(request) or len(parts) > 1 or not all(claim.inline_only for claim in claims)


def any_of(request: BuildRequest, part: Part) -> bool:
    """Whether anything is to be attested of one result."""
    return _by_us(request) or bool(part.said)


def _by_us(request: BuildRequest) -> bool:
    return request.provenance is not None or request.sbom is not None


def names_software(said: Sequence[Statement]) -> bool:
    """Whether somebody has told what software there is."""
    return any(one.kind == sbom.KIND for one in said)


def attest(
    request: BuildRequest,
    course: Course,
    part: Part,
    manifest: Descriptor,
    names: Sequence[str],
    host: Platform,
    filesystems: Filesystems,
    blobs: Blobs,
    lease: Lease,
) -> Descriptor:
    """Write the statements about one platform's image; return what its index lists."""
    about = provenance.subjects(names, manifest.digest, part.target.platform or host)
    layers = [
        _written(one, about, blobs, lease)
        for one in statements_of(request, course, part, host, filesystems)
    ]
    config = _put(_config([layer.digest for layer in layers]), oci.OCI_CONFIG, blobs, lease)
    made = Manifest(schema_version=2, media_type=oci.OCI_MANIFEST, config=config, layers=layers)
    data = strictjson.encode(made)
    return replace(
        _put(data, oci.OCI_MANIFEST, blobs, lease),
        platform=documents.platform_document(UNKNOWN),
        annotations={
            oci.ATTESTATION_KIND: "attestation-manifest",
            oci.ATTESTATION_OF: str(manifest.digest),
        },
    )


def statements_of(
    request: BuildRequest, course: Course, part: Part, host: Platform, filesystems: Filesystems
) -> list[Statement]:
    """Return all that is attested of one result."""
    target, found = part.target, [*part.said]
    if request.sbom is not None and not names_software(found):
        software = _software(part.value, filesystems, course)
        found.append(Statement(sbom.KIND, software, name=SBOM_FILE))
    if request.provenance is not None:
        vertices = list(ancestry(target.root))
        platform = target.platform or host
        kind, predicate = provenance.predicate(request, course, platform, host, vertices)
        found.append(Statement(kind, predicate, name=PROVENANCE_FILE))
    return found


def document(one: Statement, result: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a statement as it is written; `result` is how the result itself is described."""
    return msgspec.json.encode(
        {
            "_type": STATEMENT,
            "predicateType": one.kind,
            "subject": described(one.about, result),
            "predicate": one.predicate,
        }
    )


def _software(value: Value, filesystems: Filesystems, course: Course) -> dict[str, Any]:
    with filesystems.looking(value) as root:
        return sbom.document(sbom.packages(root), sbom.distribution(root), course.ended)


def _written(
    one: Statement, result: Sequence[Mapping[str, Any]], blobs: Blobs, lease: Lease
) -> Descriptor:
    return replace(
        _put(document(one, result), IN_TOTO, blobs, lease),
        annotations={PREDICATE: one.kind},
    )


def _config(layers: Sequence[Digest]) -> bytes:
    document = {
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [str(one) for one in layers]},
    }
    return msgspec.json.encode(document)


def _put(data: bytes, kind: str, blobs: Blobs, lease: Lease) -> Descriptor:
    return Descriptor(media_type=kind, digest=blobs.put(data, lease), size=len(data))
