"""Engine API documents: images, as published for API 1.56.

Every member is optional: an absent member and a JSON null both read as None, and None is
left out when a document is written. `api/` decides what a version must show.
"""

from __future__ import annotations

from msgspec import field

from boxship.spec.engine.common import (
    DriverData,
    ErrorDetail,
    HealthConfig,
    OCIDescriptor,
    OCIPlatform,
    ProgressDetail,
)
from boxship.spec.engine.document import Document


class ImageHistoryResponseItem(Document):
    """Engine API object `ImageHistoryResponseItem`."""

    id: str | None = field(default=None, name="Id")
    created: int | None = field(default=None, name="Created")
    created_by: str | None = field(default=None, name="CreatedBy")
    tags: list[str] | None = field(default=None, name="Tags")
    size: int | None = field(default=None, name="Size")
    comment: str | None = field(default=None, name="Comment")


class ImageConfig(Document):
    """Engine API object `ImageConfig`."""

    user: str | None = field(default=None, name="User")
    exposed_ports: dict[str, dict[str, object]] | None = field(default=None, name="ExposedPorts")
    env: list[str] | None = field(default=None, name="Env")
    cmd: list[str] | None = field(default=None, name="Cmd")
    healthcheck: HealthConfig | None = field(default=None, name="Healthcheck")
    args_escaped: bool | None = field(default=None, name="ArgsEscaped")
    volumes: dict[str, dict[str, object]] | None = field(default=None, name="Volumes")
    working_dir: str | None = field(default=None, name="WorkingDir")
    entrypoint: list[str] | None = field(default=None, name="Entrypoint")
    on_build: list[str] | None = field(default=None, name="OnBuild")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    stop_signal: str | None = field(default=None, name="StopSignal")
    shell: list[str] | None = field(default=None, name="Shell")


class ImageManifestSummarySize(Document):
    """Engine API object `ImageManifestSummarySize`."""

    total: int | None = field(default=None, name="Total")
    content: int | None = field(default=None, name="Content")


class SignatureTimestamp(Document):
    """Engine API object `SignatureTimestamp`."""

    type: str | None = field(default=None, name="Type")
    uri: str | None = field(default=None, name="URI")
    timestamp: str | None = field(default=None, name="Timestamp")


class SignerIdentity(Document):
    """Engine API object `SignerIdentity`."""

    certificate_issuer: str | None = field(default=None, name="CertificateIssuer")
    subject_alternative_name: str | None = field(default=None, name="SubjectAlternativeName")
    issuer: str | None = field(default=None, name="Issuer")
    build_signer_uri: str | None = field(default=None, name="BuildSignerURI")
    build_signer_digest: str | None = field(default=None, name="BuildSignerDigest")
    runner_environment: str | None = field(default=None, name="RunnerEnvironment")
    source_repository_uri: str | None = field(default=None, name="SourceRepositoryURI")
    source_repository_digest: str | None = field(default=None, name="SourceRepositoryDigest")
    source_repository_ref: str | None = field(default=None, name="SourceRepositoryRef")
    source_repository_identifier: str | None = field(
        default=None, name="SourceRepositoryIdentifier"
    )
    source_repository_owner_uri: str | None = field(default=None, name="SourceRepositoryOwnerURI")
    source_repository_owner_identifier: str | None = field(
        default=None, name="SourceRepositoryOwnerIdentifier"
    )
    build_config_uri: str | None = field(default=None, name="BuildConfigURI")
    build_config_digest: str | None = field(default=None, name="BuildConfigDigest")
    build_trigger: str | None = field(default=None, name="BuildTrigger")
    run_invocation_uri: str | None = field(default=None, name="RunInvocationURI")
    source_repository_visibility_at_signing: str | None = field(
        default=None, name="SourceRepositoryVisibilityAtSigning"
    )


class SignatureIdentity(Document):
    """Engine API object `SignatureIdentity`."""

    name: str | None = field(default=None, name="Name")
    timestamps: list[SignatureTimestamp] | None = field(default=None, name="Timestamps")
    known_signer: str | None = field(default=None, name="KnownSigner")
    docker_reference: str | None = field(default=None, name="DockerReference")
    signer: SignerIdentity | None = field(default=None, name="Signer")
    signature_type: str | None = field(default=None, name="SignatureType")
    error: str | None = field(default=None, name="Error")
    warnings: list[str] | None = field(default=None, name="Warnings")


class PullIdentity(Document):
    """Engine API object `PullIdentity`."""

    repository: str | None = field(default=None, name="Repository")


class BuildIdentity(Document):
    """Engine API object `BuildIdentity`."""

    ref: str | None = field(default=None, name="Ref")
    created_at: str | None = field(default=None, name="CreatedAt")


class Identity(Document):
    """Engine API object `Identity`."""

    signature: list[SignatureIdentity] | None = field(default=None, name="Signature")
    pull: list[PullIdentity] | None = field(default=None, name="Pull")
    build: list[BuildIdentity] | None = field(default=None, name="Build")


class ImageManifestSummaryImageDataSize(Document):
    """Engine API object `ImageManifestSummaryImageDataSize`."""

    unpacked: int | None = field(default=None, name="Unpacked")


class ImageManifestSummaryImageData(Document):
    """Engine API object `ImageManifestSummaryImageData`."""

    platform: OCIPlatform | None = field(default=None, name="Platform")
    identity: Identity | None = field(default=None, name="Identity")
    containers: list[str] | None = field(default=None, name="Containers")
    size: ImageManifestSummaryImageDataSize | None = field(default=None, name="Size")


class ImageManifestSummaryAttestationData(Document):
    """Engine API object `ImageManifestSummaryAttestationData`."""

    for_: str | None = field(default=None, name="For")


class ImageManifestSummary(Document):
    """Engine API object `ImageManifestSummary`."""

    id: str | None = field(default=None, name="ID")
    descriptor: OCIDescriptor | None = field(default=None, name="Descriptor")
    available: bool | None = field(default=None, name="Available")
    size: ImageManifestSummarySize | None = field(default=None, name="Size")
    kind: str | None = field(default=None, name="Kind")
    image_data: ImageManifestSummaryImageData | None = field(default=None, name="ImageData")
    attestation_data: ImageManifestSummaryAttestationData | None = field(
        default=None, name="AttestationData"
    )


class ImageInspectRootFS(Document):
    """Engine API object `ImageInspectRootFS`."""

    type: str | None = field(default=None, name="Type")
    layers: list[str] | None = field(default=None, name="Layers")


class ImageInspectMetadata(Document):
    """Engine API object `ImageInspectMetadata`."""

    last_tag_time: str | None = field(default=None, name="LastTagTime")


class ImageInspect(Document):
    """Engine API object `ImageInspect`."""

    id: str | None = field(default=None, name="Id")
    descriptor: OCIDescriptor | None = field(default=None, name="Descriptor")
    manifests: list[ImageManifestSummary] | None = field(default=None, name="Manifests")
    identity: Identity | None = field(default=None, name="Identity")
    repo_tags: list[str] | None = field(default=None, name="RepoTags")
    repo_digests: list[str] | None = field(default=None, name="RepoDigests")
    comment: str | None = field(default=None, name="Comment")
    created: str | None = field(default=None, name="Created")
    author: str | None = field(default=None, name="Author")
    config: ImageConfig | None = field(default=None, name="Config")
    architecture: str | None = field(default=None, name="Architecture")
    variant: str | None = field(default=None, name="Variant")
    os: str | None = field(default=None, name="Os")
    os_version: str | None = field(default=None, name="OsVersion")
    size: int | None = field(default=None, name="Size")
    graph_driver: DriverData | None = field(default=None, name="GraphDriver")
    root_fs: ImageInspectRootFS | None = field(default=None, name="RootFS")
    metadata: ImageInspectMetadata | None = field(default=None, name="Metadata")


class ImageSummary(Document):
    """Engine API object `ImageSummary`."""

    id: str | None = field(default=None, name="Id")
    parent_id: str | None = field(default=None, name="ParentId")
    repo_tags: list[str] | None = field(default=None, name="RepoTags")
    repo_digests: list[str] | None = field(default=None, name="RepoDigests")
    created: int | None = field(default=None, name="Created")
    size: int | None = field(default=None, name="Size")
    shared_size: int | None = field(default=None, name="SharedSize")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    containers: int | None = field(default=None, name="Containers")
    manifests: list[ImageManifestSummary] | None = field(default=None, name="Manifests")
    descriptor: OCIDescriptor | None = field(default=None, name="Descriptor")


class ImageDeleteResponseItem(Document):
    """Engine API object `ImageDeleteResponseItem`."""

    untagged: str | None = field(default=None, name="Untagged")
    deleted: str | None = field(default=None, name="Deleted")


class ImageID(Document):
    """Engine API object `ImageID`."""

    id: str | None = field(default=None, name="ID")


class CreateImageInfo(Document):
    """Engine API object `CreateImageInfo`."""

    id: str | None = field(default=None, name="id")
    error_detail: ErrorDetail | None = field(default=None, name="errorDetail")
    status: str | None = field(default=None, name="status")
    progress_detail: ProgressDetail | None = field(default=None, name="progressDetail")


class PushImageInfo(Document):
    """Engine API object `PushImageInfo`."""

    error_detail: ErrorDetail | None = field(default=None, name="errorDetail")
    status: str | None = field(default=None, name="status")
    progress_detail: ProgressDetail | None = field(default=None, name="progressDetail")


class BuildInfo(Document):
    """Engine API object `BuildInfo`."""

    id: str | None = field(default=None, name="id")
    stream: str | None = field(default=None, name="stream")
    error_detail: ErrorDetail | None = field(default=None, name="errorDetail")
    status: str | None = field(default=None, name="status")
    progress_detail: ProgressDetail | None = field(default=None, name="progressDetail")
    aux: ImageID | None = field(default=None, name="aux")


class AttestationStatement(Document):
    """Engine API object `AttestationStatement`."""

    descriptor: OCIDescriptor | None = field(default=None, name="Descriptor")
    predicate_type: str | None = field(default=None, name="PredicateType")
    statement: dict[str, object] | None = field(default=None, name="Statement")


class DistributionInspect(Document):
    """Engine API object `DistributionInspect`."""

    descriptor: OCIDescriptor | None = field(default=None, name="Descriptor")
    platforms: list[OCIPlatform] | None = field(default=None, name="Platforms")


class AuthConfig(Document):
    """Engine API object `AuthConfig`."""

    username: str | None = field(default=None, name="username")
    password: str | None = field(default=None, name="password")
    serveraddress: str | None = field(default=None, name="serveraddress")


class AuthResponse(Document):
    """Engine API object `AuthResponse`."""

    status: str | None = field(default=None, name="Status")
    identity_token: str | None = field(default=None, name="IdentityToken")
