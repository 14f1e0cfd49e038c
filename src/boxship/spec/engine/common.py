"""Engine API documents that several tags share, as published for API 1.56.

Every member is optional: an absent member and a JSON null both read as None, and None is
left out when a document is written. `api/` decides what a version must show.
"""

from __future__ import annotations

from msgspec import field

from boxship.spec.engine.document import Document


class OCIPlatform(Document):
    """Engine API object `OCIPlatform`."""

    architecture: str | None = field(default=None, name="architecture")
    os: str | None = field(default=None, name="os")
    os_version: str | None = field(default=None, name="os.version")
    os_features: list[str] | None = field(default=None, name="os.features")
    variant: str | None = field(default=None, name="variant")


class OCIDescriptor(Document):
    """Engine API object `OCIDescriptor`."""

    media_type: str | None = field(default=None, name="mediaType")
    digest: str | None = field(default=None, name="digest")
    size: int | None = field(default=None, name="size")
    urls: list[str] | None = field(default=None, name="urls")
    annotations: dict[str, str] | None = field(default=None, name="annotations")
    data: str | None = field(default=None, name="data")
    platform: OCIPlatform | None = field(default=None, name="platform")
    artifact_type: str | None = field(default=None, name="artifactType")


class DriverData(Document):
    """Engine API object `DriverData`."""

    name: str | None = field(default=None, name="Name")
    data: dict[str, str] | None = field(default=None, name="Data")


class HealthConfig(Document):
    """Engine API object `HealthConfig`."""

    test: list[str] | None = field(default=None, name="Test")
    interval: int | None = field(default=None, name="Interval")
    timeout: int | None = field(default=None, name="Timeout")
    retries: int | None = field(default=None, name="Retries")
    start_period: int | None = field(default=None, name="StartPeriod")
    start_interval: int | None = field(default=None, name="StartInterval")


class MountBindOptions(Document):
    """Engine API object `MountBindOptions`."""

    propagation: str | None = field(default=None, name="Propagation")
    non_recursive: bool | None = field(default=None, name="NonRecursive")
    create_mountpoint: bool | None = field(default=None, name="CreateMountpoint")
    read_only_non_recursive: bool | None = field(default=None, name="ReadOnlyNonRecursive")
    read_only_force_recursive: bool | None = field(default=None, name="ReadOnlyForceRecursive")


class MountVolumeOptionsDriverConfig(Document):
    """Engine API object `MountVolumeOptionsDriverConfig`."""

    name: str | None = field(default=None, name="Name")
    options: dict[str, str] | None = field(default=None, name="Options")


class MountVolumeOptions(Document):
    """Engine API object `MountVolumeOptions`."""

    no_copy: bool | None = field(default=None, name="NoCopy")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    driver_config: MountVolumeOptionsDriverConfig | None = field(default=None, name="DriverConfig")
    subpath: str | None = field(default=None, name="Subpath")


class MountImageOptions(Document):
    """Engine API object `MountImageOptions`."""

    subpath: str | None = field(default=None, name="Subpath")


class MountTmpfsOptions(Document):
    """Engine API object `MountTmpfsOptions`."""

    size_bytes: int | None = field(default=None, name="SizeBytes")
    mode: int | None = field(default=None, name="Mode")
    options: list[list[str]] | None = field(default=None, name="Options")


class Mount(Document):
    """Engine API object `Mount`."""

    target: str | None = field(default=None, name="Target")
    source: str | None = field(default=None, name="Source")
    type: str | None = field(default=None, name="Type")
    read_only: bool | None = field(default=None, name="ReadOnly")
    consistency: str | None = field(default=None, name="Consistency")
    bind_options: MountBindOptions | None = field(default=None, name="BindOptions")
    volume_options: MountVolumeOptions | None = field(default=None, name="VolumeOptions")
    image_options: MountImageOptions | None = field(default=None, name="ImageOptions")
    tmpfs_options: MountTmpfsOptions | None = field(default=None, name="TmpfsOptions")


class ErrorDetail(Document):
    """Engine API object `ErrorDetail`."""

    code: int | None = field(default=None, name="code")
    message: str | None = field(default=None, name="message")


class ProgressDetail(Document):
    """Engine API object `ProgressDetail`."""

    current: int | None = field(default=None, name="current")
    total: int | None = field(default=None, name="total")


class ObjectVersion(Document):
    """Engine API object `ObjectVersion`."""

    index: int | None = field(default=None, name="Index")


class PluginPrivilege(Document):
    """Engine API object `PluginPrivilege`."""

    name: str | None = field(default=None, name="Name")
    description: str | None = field(default=None, name="Description")
    value: list[str] | None = field(default=None, name="Value")


class Limit(Document):
    """Engine API object `Limit`."""

    nano_cpus: int | None = field(default=None, name="NanoCPUs")
    memory_bytes: int | None = field(default=None, name="MemoryBytes")
    pids: int | None = field(default=None, name="Pids")


class GenericResourcesItemNamedResourceSpec(Document):
    """Engine API object `GenericResourcesItemNamedResourceSpec`."""

    kind: str | None = field(default=None, name="Kind")
    value: str | None = field(default=None, name="Value")


class GenericResourcesItemDiscreteResourceSpec(Document):
    """Engine API object `GenericResourcesItemDiscreteResourceSpec`."""

    kind: str | None = field(default=None, name="Kind")
    value: int | None = field(default=None, name="Value")


class GenericResourcesItem(Document):
    """Engine API object `GenericResourcesItem`."""

    named_resource_spec: GenericResourcesItemNamedResourceSpec | None = field(
        default=None, name="NamedResourceSpec"
    )
    discrete_resource_spec: GenericResourcesItemDiscreteResourceSpec | None = field(
        default=None, name="DiscreteResourceSpec"
    )


class ResourceObject(Document):
    """Engine API object `ResourceObject`."""

    nano_cpus: int | None = field(default=None, name="NanoCPUs")
    memory_bytes: int | None = field(default=None, name="MemoryBytes")
    generic_resources: list[GenericResourcesItem] | None = field(
        default=None, name="GenericResources"
    )


class DeviceInfo(Document):
    """Engine API object `DeviceInfo`."""

    source: str | None = field(default=None, name="Source")
    id: str | None = field(default=None, name="ID")
