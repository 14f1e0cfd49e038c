"""A manifest or index as a registry gave it: its bytes, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from boxship.distribution.errors import WrongAnswer, WrongBytes
from boxship.errors import NotSupported
from boxship.lib import strictjson
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor

LIMIT: Final = strictjson.SIZE
ACCEPTED: Final = (oci.OCI_INDEX, oci.OCI_MANIFEST, oci.DOCKER_INDEX, oci.DOCKER_MANIFEST)
ARTIFACT: Final = "application/vnd.oci.artifact.manifest.v1+json"
SCHEMA_1: Final = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
SAYS_NOTHING: Final = frozenset(
    {"", "application/json", "application/octet-stream", "text/plain", "text/html"}
)


class Schema1(NotSupported):
    """An image in the first format, which nobody writes any more."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is an image of schema 1, which is no longer supported: "
            "have it pulled and pushed again by an engine that still converts it"
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """A document as it arrived; `media_type` is what header and document agree on."""

    media_type: str
    digest: Digest
    data: bytes

    @property
    def descriptor(self) -> Descriptor:
        """What points to it."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.data))


class _Version(msgspec.Struct):
    schema_version: int = msgspec.field(default=0, name="schemaVersion")


def received(data: bytes, content_type: str, announced: str, wanted: str, name: str) -> Manifest:
    """Check a document that arrived; `wanted` is a tag or the digest that it must have.

    A document that calls itself other than its header, or that two readers could take for two
    things, is a WrongAnswer.
    """
    digest = Digest.of(data)
    for said in (announced, wanted if is_digest(wanted) else ""):
        if said.startswith("sha256:") and said != digest:
            raise WrongBytes(f"{name}: the manifest has the digest {digest}, not {said}")
    said = content_type.partition(";")[0].strip().lower()
    if said in SCHEMA_1 or (said in SAYS_NOTHING and _version(data) == 1):
        raise Schema1(name)
    try:
        media_type = oci.read_kind(data, "" if said in SAYS_NOTHING else said)
    except strictjson.InvalidDocument as error:
        raise WrongAnswer(f"{name}: {error}") from error
    return Manifest(media_type, digest, data)


class _Referring(msgspec.Struct):
    subject: Descriptor | None = None
    config: Descriptor | None = None
    annotations: dict[str, str] | None = None
    artifact_type: str | None = msgspec.field(default=None, name="artifactType")


def referrer(data: bytes, media_type: str) -> tuple[Digest, Descriptor] | None:
    """Return what a document refers to, and the entry of a list of what refers to that."""
    try:
        said = strictjson.decode(data, _Referring, "manifest")
    except strictjson.InvalidDocument:
        return None  # nothing that this client can read
    if said.subject is None:
        return None
    kind = said.artifact_type or (said.config.media_type if said.config else None)
    about = Descriptor(
        media_type=media_type,
        digest=Digest.of(data),
        size=len(data),
        annotations=said.annotations,
        artifact_type=kind,
    )
    return said.subject.digest, about


def is_digest(reference: str) -> bool:
    """Whether a tag or digest is a digest."""
    return ":" in reference


def _version(data: bytes) -> int:
    try:
        return msgspec.json.decode(data, type=_Version).schema_version
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return 0
