"""Image documents: OCI image-spec 1.1 and Docker's schema 2, which share their members.

The bytes of a document are what is stored, hashed and forwarded; these are decoded views. A
member that no view has survives, because nothing is ever written back from a view.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from boxship.lib import strictjson
from boxship.spec.digest import Digest
from boxship.spec.engine.image import ImageConfig as RunConfig
from boxship.spec.platform import Platform

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES: Final = frozenset({OCI_INDEX, DOCKER_INDEX})
CONFIGS: Final = frozenset({OCI_CONFIG, DOCKER_CONFIG})

REF_NAME: Final = "org.opencontainers.image.ref.name"
IMAGE_NAME: Final = "io.containerd.image.name"
ATTESTATION_KIND: Final = "vnd.docker.reference.type"
ATTESTATION_OF: Final = "vnd.docker.reference.digest"


class PlatformDocument(Struct, kw_only=True, omit_defaults=True):
    """`platform` in a descriptor."""

    architecture: str = ""
    os: str = ""
    os_version: str = field(default="", name="os.version")
    os_features: list[str] | None = field(default=None, name="os.features")
    variant: str = ""

    def value(self) -> Platform:
        """Return it as a Platform."""
        return Platform.normal(self.os, self.architecture, self.variant, self.os_version)


class Descriptor(Struct, kw_only=True, omit_defaults=True, frozen=True):
    """What points to content: its type, its digest and its size."""

    media_type: str = field(name="mediaType")
    digest: Digest
    size: int
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    data: str | None = None
    platform: PlatformDocument | None = None
    artifact_type: str | None = field(default=None, name="artifactType")


class Manifest(Struct, kw_only=True, omit_defaults=True):
    """One image for one platform."""

    schema_version: int = field(name="schemaVersion")
    media_type: str = field(default="", name="mediaType")
    artifact_type: str | None = field(default=None, name="artifactType")
    config: Descriptor
    layers: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Index(Struct, kw_only=True, omit_defaults=True):
    """A list of manifests, one a platform, or of further indexes."""

    schema_version: int = field(name="schemaVersion")
    media_type: str = field(default="", name="mediaType")
    artifact_type: str | None = field(default=None, name="artifactType")
    manifests: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class History(Struct, kw_only=True, omit_defaults=True):
    """How one layer, or an empty step, came to be."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class RootFS(Struct, kw_only=True):
    """The layers, as digests of their uncompressed tars, bottom first."""

    type: str = "layers"
    diff_ids: list[Digest] = field(default_factory=list)


class ImageConfig(Struct, kw_only=True, omit_defaults=True):
    """An image's configuration document, with the members that Docker adds."""

    created: str | None = None
    author: str = ""
    architecture: str = ""
    os: str = ""
    os_version: str = field(default="", name="os.version")
    os_features: list[str] | None = field(default=None, name="os.features")
    variant: str = ""
    config: RunConfig | None = None
    rootfs: RootFS = field(default_factory=RootFS)
    history: list[History] | None = None
    comment: str = ""
    container: str = ""
    docker_version: str = ""

    @property
    def platform(self) -> Platform:
        """What the image was made for."""
        return Platform.normal(self.os or "linux", self.architecture, self.variant, self.os_version)


class Kind(Struct):
    """Just enough of a document to tell a manifest from an index."""

    schema_version: int = field(default=0, name="schemaVersion")
    media_type: str = field(default="", name="mediaType")
    config: object = None
    layers: object = None
    manifests: object = None


def read_kind(data: bytes, said: str = "") -> str:
    """Return the media type of a manifest or an index, or refuse it.

    `said` is what pointed here calls it. A document that could be read as both kinds, or that
    is called by one name and calls itself by another, is refused: two readers would differ.
    """
    kind = strictjson.decode(data, Kind, "manifest")
    if kind.schema_version != 2:
        raise strictjson.InvalidDocument("manifest: schemaVersion is not 2")
    if said and kind.media_type and said != kind.media_type:
        raise strictjson.InvalidDocument(
            f"manifest: called {said[:100]}, but calls itself {kind.media_type[:100]}"
        )
    image = kind.config is not None or kind.layers is not None
    if image and kind.manifests is not None:
        raise strictjson.InvalidDocument("manifest: it could be an image and an index")
    kinds = MANIFESTS if image else INDEXES
    media_type = said or kind.media_type or (OCI_MANIFEST if image else OCI_INDEX)
    if media_type not in kinds or not (image or kind.manifests is not None):
        raise strictjson.InvalidDocument(f"manifest: it is not what {media_type[:100]} says")
    return media_type
