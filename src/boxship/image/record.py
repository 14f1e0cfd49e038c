"""An image as the engine holds it: a name for content, and the decoded views of that content."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from boxship.content.errors import NoSuchBlob
from boxship.content.store import Blobs
from boxship.image.errors import WrongPlatform
from boxship.lib import strictjson
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest, chain
from boxship.spec.engine.image import ImageConfig as RunConfig
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, ImageConfig, Index, Manifest
from boxship.spec.platform import Platform, best

NESTING: Final = 4
MANIFESTS: Final = 256


@dataclass(frozen=True, slots=True)
class Variant:
    """One manifest of an image: the image itself, or one of those its index lists."""

    descriptor: Descriptor
    platform: Platform | None
    attestation_of: Digest | None = None
    manifest: Manifest | None = None  # None where its content is missing
    config: ImageConfig | None = None

    @property
    def diff_ids(self) -> list[Digest]:
        """The layers, unpacked, bottom first."""
        return self.config.rootfs.diff_ids if self.config else []

    @property
    def chains(self) -> list[ChainId]:
        """The chain ID of each layer."""
        found: list[ChainId] = []
        for diff_id in self.diff_ids:
            found.append(ChainId(chain(found[-1] if found else None, diff_id)))
        return found

    @property
    def is_image(self) -> bool:
        """Whether it can be run, as far as its documents say."""
        return self.config is not None and self.attestation_of is None

    @property
    def content(self) -> list[Descriptor]:
        """All that it points to, itself first."""
        if self.manifest is None:
            return [self.descriptor]
        return [self.descriptor, self.manifest.config, *self.manifest.layers]


@dataclass(frozen=True, slots=True)
class Build:
    """A build that an image came out of: what its record is called, and when (nanoseconds)."""

    ref: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Image:
    """An image and the variant of it that is meant, which is the host's unless another was asked.

    `id` is the digest of what the names point to; `names` are canonical, with their tags.
    """

    id: Digest
    descriptor: Descriptor
    variant: Variant
    variants: tuple[Variant, ...]
    indexes: tuple[Descriptor, ...] = ()
    names: tuple[str, ...] = ()
    parent: Digest | None = None
    tagged_at: int = 0  # seconds
    content: frozenset[Digest] = field(default_factory=frozenset)
    origins: tuple[str, ...] = ()  # repositories it was pulled from or pushed to
    builds: tuple[Build, ...] = ()  # that it came out of, the last one last

    @property
    def is_whole(self) -> bool:
        """Whether no document of any variant was missing."""
        return all(variant.manifest is not None for variant in self.variants)

    @property
    def config(self) -> ImageConfig:
        """The variant's configuration document."""
        return self.variant.config or ImageConfig()

    @property
    def run(self) -> RunConfig:
        """What a container of it runs with."""
        return self.config.config or RunConfig()

    @property
    def chain_id(self) -> ChainId | None:
        """The filesystem that a container begins with; None where there is no layer."""
        chains = self.variant.chains
        return chains[-1] if chains else None

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the configuration."""
        return self.run.labels or {}

    @property
    def created(self) -> str:
        """When it was made, as its document says; empty where it does not."""
        return self.config.created or ""


def choose(image: Image, wanted: Platform, ref: str) -> Image:
    """Return the image with the variant for `wanted` meant."""
    usable = [v.platform if v.is_image else None for v in image.variants]
    exact = [n for n, p in enumerate(usable) if p is not None and p.is_exactly(wanted)]
    at = exact[0] if exact else best(usable, wanted)
    if at is None:
        has = image.variant.platform or image.config.platform
        raise WrongPlatform(ref, has, wanted)
    return replace(image, variant=image.variants[at])


def read(blobs: Blobs, descriptor: Descriptor, host: Platform) -> Image:
    """Read an image's documents from the store."""
    variants: list[Variant] = []
    indexes: list[Descriptor] = []
    _collect(blobs, descriptor, variants, indexes, 0)
    usable = [v.platform if v.is_image else None for v in variants]
    at = best(usable, host)
    if at is None:
        at = next((n for n, variant in enumerate(variants) if variant.is_image), None)
    if at is None:
        raise strictjson.InvalidDocument(f"{descriptor.digest} holds no image")
    content = {d.digest for v in variants for d in v.content} | {d.digest for d in indexes}
    return Image(
        descriptor.digest,
        descriptor,
        variants[at],
        tuple(variants),
        tuple(indexes),
        content=frozenset(content),
    )


def _collect(
    blobs: Blobs,
    descriptor: Descriptor,
    variants: list[Variant],
    indexes: list[Descriptor],
    depth: int,
) -> None:
    """Add what `descriptor` leads to."""
    if depth > NESTING or len(variants) > MANIFESTS:
        raise strictjson.InvalidDocument("an index with too many manifests")
    try:
        data = blobs.read(descriptor.digest)
    except NoSuchBlob:
        if not depth:
            raise
        variants.append(_missing(descriptor))
        return
    if len(data) != descriptor.size:
        raise strictjson.InvalidDocument(f"{descriptor.digest} has not the size announced")
    if oci.read_kind(data, descriptor.media_type) in oci.INDEXES:
        indexes.append(descriptor)
        for inner in strictjson.decode(data, Index, "index").manifests:
            _collect(blobs, inner, variants, indexes, depth + 1)
        return
    variants.append(_variant(blobs, descriptor, strictjson.decode(data, Manifest, "manifest")))


def _missing(descriptor: Descriptor) -> Variant:
    platform = descriptor.platform.value() if descriptor.platform else None
    return Variant(descriptor, platform, _attestation(descriptor))


def _variant(blobs: Blobs, descriptor: Descriptor, manifest: Manifest) -> Variant:
    """Read a manifest's configuration, where it is one of an image."""
    attestation = _attestation(descriptor)
    config = None
    if attestation is None and manifest.config.media_type in oci.CONFIGS:
        try:
            data = blobs.read(manifest.config.digest)
        except NoSuchBlob:
            return _missing(descriptor)
        if len(data) != manifest.config.size:
            raise strictjson.InvalidDocument(f"{manifest.config.digest} has not the size announced")
        config = strictjson.decode(data, ImageConfig, "image configuration")
        if len(config.rootfs.diff_ids) != len(manifest.layers):
            raise strictjson.InvalidDocument(
                f"invalid manifest, layers length mismatch: expected "
                f"{len(config.rootfs.diff_ids)}, got {len(manifest.layers)}"
            )
    platform = descriptor.platform.value() if descriptor.platform else None
    if platform is None and config is not None:
        platform = config.platform
    return Variant(descriptor, platform, attestation, manifest, config)


def _attestation(descriptor: Descriptor) -> Digest | None:
    annotations = descriptor.annotations or {}
    if annotations.get(oci.ATTESTATION_KIND) != "attestation-manifest":
        return None
    return Digest.parse(annotations.get(oci.ATTESTATION_OF, ""))
