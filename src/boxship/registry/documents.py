"""Manifests and indexes as the registry looks at them: what they refer to, and nothing more.

The bytes are what is kept and sent. A document that two readers could understand differently (a key
twice, layers and manifests at once, a media type that is not the one it was sent with) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from msgspec import Struct, field

from boxship.lib import strictjson
from boxship.registry.errors import DigestInvalid, ManifestInvalid
from boxship.registry.names import Digest
from boxship.spec.oci.image import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    PlatformDocument,
)

LIMIT: Final = 4 << 20
REFERENCES: Final = 10_000  # in one document
MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES: Final = frozenset({OCI_INDEX, DOCKER_INDEX})
SCHEMA1: Final = "application/vnd.docker.distribution.manifest.v1"
MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]{0,126}/[\w!#$&^.+-]{1,127}", re.ASCII)


class Descriptor(Struct, kw_only=True, frozen=True):
    """What points to content."""

    media_type: str = field(default="", name="mediaType")
    digest: str
    size: int
    urls: list[str] | None = None
    platform: PlatformDocument | None = None

    def target(self) -> Digest:
        return Digest.parse(self.digest)


class Document(Struct, kw_only=True):
    """Either kind."""

    schema_version: int = field(default=0, name="schemaVersion")
    media_type: str = field(default="", name="mediaType")
    artifact_type: str | None = field(default=None, name="artifactType")
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None
    fs_layers: object = field(default=None, name="fsLayers")
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the registry knows of a manifest or an index."""

    media_type: str
    document: Document

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES

    @property
    def subject(self) -> Digest | None:
        return self.document.subject.target() if self.document.subject else None

    @property
    def artifact_type(self) -> str:
        """What kind of thing it is, as the referrers list says."""
        given = self.document.artifact_type or ""
        if not given and self.document.config is not None:
            return self.document.config.media_type
        return given

    def blobs(self) -> Iterator[Descriptor]:
        """Yield what it refers to and a repository must have as a blob."""
        if self.document.config is not None:
            yield self.document.config
        yield from self.document.layers or ()

    def manifests(self) -> Iterator[Descriptor]:
        """Yield the manifests that an index lists."""
        yield from self.document.manifests or ()


def read(data: bytes, said: str = "") -> Manifest:
    """Understand a document that came as media type `said`; ManifestInvalid."""
    said = said.partition(";")[0].strip().lower()
    if said.startswith(SCHEMA1):
        raise ManifestInvalid("manifests of schema 1 are not supported; push schema 2 or OCI")
    try:
        document = strictjson.decode(data, Document, "manifest", limit=LIMIT)
    except strictjson.InvalidDocument as error:
        raise ManifestInvalid(str(error)) from error
    if document.schema_version == 1 or document.fs_layers is not None:
        raise ManifestInvalid("manifests of schema 1 are not supported; push schema 2 or OCI")
    if document.schema_version != 2:
        raise ManifestInvalid("manifest: schemaVersion is not 2")
    manifest = Manifest(_kind(document, said), document)
    _check_descriptors(manifest)
    return manifest


def _kind(document: Document, said: str) -> str:
    own = document.media_type
    image = document.config is not None or document.layers is not None
    if image and document.manifests is not None:
        raise ManifestInvalid("manifest: it could be an image and an index")
    if said and own and said != own.lower():
        raise ManifestInvalid(f"manifest: sent as {said[:100]}, but calls itself {own[:100]}")
    kind = own or said or (OCI_MANIFEST if image else OCI_INDEX)
    if image and kind in MANIFESTS:
        if document.config is None or document.layers is None:
            raise ManifestInvalid("manifest: config or layers are missing")
    elif image or kind not in INDEXES or document.manifests is None:
        raise ManifestInvalid(f"manifest: it is not what {kind[:100]} says, or that is not known")
    if not own and kind in (DOCKER_MANIFEST, DOCKER_INDEX):
        raise ManifestInvalid(f"manifest: a document of type {kind} must say so itself")
    return kind


def _check_descriptors(manifest: Manifest) -> None:
    found = [*manifest.blobs(), *manifest.manifests()]
    if len(found) > REFERENCES:
        raise ManifestInvalid(f"manifest: it refers to more than {REFERENCES} things")
    if manifest.document.subject is not None:
        found.append(manifest.document.subject)
    for one in found:
        try:
            one.target()
        except DigestInvalid as error:
            raise ManifestInvalid(f"manifest: {error}") from error
        if one.size < 0:
            raise ManifestInvalid(f"manifest: a negative size for {one.digest}")
        if one.media_type and not MEDIA_TYPE.fullmatch(one.media_type):
            raise ManifestInvalid(f"manifest: not a media type: {one.media_type[:100]!r}")
