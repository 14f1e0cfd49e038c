"""Engine API documents: volumes, as published for API 1.56.

Every member is optional: an absent member and a JSON null both read as None, and None is
left out when a document is written. `api/` decides what a version must show.
"""

from __future__ import annotations

from msgspec import field

from boxship.spec.engine.common import ObjectVersion
from boxship.spec.engine.document import Document


class ClusterVolumeSpecAccessModeSecretsItem(Document):
    """Engine API object `ClusterVolumeSpecAccessModeSecretsItem`."""

    key: str | None = field(default=None, name="Key")
    secret: str | None = field(default=None, name="Secret")


class Topology(Document):
    """Engine API object `Topology`."""

    segments: dict[str, str] | None = field(default=None, name="Segments")


class ClusterVolumeSpecAccessModeAccessibilityRequirements(Document):
    """Engine API object `ClusterVolumeSpecAccessModeAccessibilityRequirements`."""

    requisite: list[Topology] | None = field(default=None, name="Requisite")
    preferred: list[Topology] | None = field(default=None, name="Preferred")


class ClusterVolumeSpecAccessModeCapacityRange(Document):
    """Engine API object `ClusterVolumeSpecAccessModeCapacityRange`."""

    required_bytes: int | None = field(default=None, name="RequiredBytes")
    limit_bytes: int | None = field(default=None, name="LimitBytes")


class ClusterVolumeSpecAccessMode(Document):
    """Engine API object `ClusterVolumeSpecAccessMode`."""

    scope: str | None = field(default=None, name="Scope")
    sharing: str | None = field(default=None, name="Sharing")
    mount_volume: dict[str, object] | None = field(default=None, name="MountVolume")
    secrets: list[ClusterVolumeSpecAccessModeSecretsItem] | None = field(
        default=None, name="Secrets"
    )
    accessibility_requirements: ClusterVolumeSpecAccessModeAccessibilityRequirements | None = field(
        default=None, name="AccessibilityRequirements"
    )
    capacity_range: ClusterVolumeSpecAccessModeCapacityRange | None = field(
        default=None, name="CapacityRange"
    )
    availability: str | None = field(default=None, name="Availability")


class ClusterVolumeSpec(Document):
    """Engine API object `ClusterVolumeSpec`."""

    group: str | None = field(default=None, name="Group")
    access_mode: ClusterVolumeSpecAccessMode | None = field(default=None, name="AccessMode")


class ClusterVolumeInfo(Document):
    """Engine API object `ClusterVolumeInfo`."""

    capacity_bytes: int | None = field(default=None, name="CapacityBytes")
    volume_context: dict[str, str] | None = field(default=None, name="VolumeContext")
    volume_id: str | None = field(default=None, name="VolumeID")
    accessible_topology: list[Topology] | None = field(default=None, name="AccessibleTopology")


class ClusterVolumePublishStatusItem(Document):
    """Engine API object `ClusterVolumePublishStatusItem`."""

    node_id: str | None = field(default=None, name="NodeID")
    state: str | None = field(default=None, name="State")
    publish_context: dict[str, str] | None = field(default=None, name="PublishContext")


class ClusterVolume(Document):
    """Engine API object `ClusterVolume`."""

    id: str | None = field(default=None, name="ID")
    version: ObjectVersion | None = field(default=None, name="Version")
    created_at: str | None = field(default=None, name="CreatedAt")
    updated_at: str | None = field(default=None, name="UpdatedAt")
    spec: ClusterVolumeSpec | None = field(default=None, name="Spec")
    info: ClusterVolumeInfo | None = field(default=None, name="Info")
    publish_status: list[ClusterVolumePublishStatusItem] | None = field(
        default=None, name="PublishStatus"
    )


class VolumeUsageData(Document):
    """Engine API object `VolumeUsageData`."""

    size: int | None = field(default=None, name="Size")
    ref_count: int | None = field(default=None, name="RefCount")


class Volume(Document):
    """Engine API object `Volume`."""

    name: str | None = field(default=None, name="Name")
    driver: str | None = field(default=None, name="Driver")
    mountpoint: str | None = field(default=None, name="Mountpoint")
    created_at: str | None = field(default=None, name="CreatedAt")
    status: dict[str, dict[str, object]] | None = field(default=None, name="Status")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    scope: str | None = field(default=None, name="Scope")
    cluster_volume: ClusterVolume | None = field(default=None, name="ClusterVolume")
    options: dict[str, str] | None = field(default=None, name="Options")
    usage_data: VolumeUsageData | None = field(default=None, name="UsageData")


class VolumeCreateRequest(Document):
    """Engine API object `VolumeCreateRequest`."""

    name: str | None = field(default=None, name="Name")
    driver: str | None = field(default=None, name="Driver")
    driver_opts: dict[str, str] | None = field(default=None, name="DriverOpts")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    cluster_volume_spec: ClusterVolumeSpec | None = field(default=None, name="ClusterVolumeSpec")


class VolumeListResponse(Document):
    """Engine API object `VolumeListResponse`."""

    volumes: list[Volume] | None = field(default=None, name="Volumes")
    warnings: list[str] | None = field(default=None, name="Warnings")
