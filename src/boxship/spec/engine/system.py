"""Engine API documents: systems, as published for API 1.56.

Every member is optional: an absent member and a JSON null both read as None, and None is
left out when a document is written. `api/` decides what a version must show.
"""

from __future__ import annotations

from msgspec import field

from boxship.spec.engine.common import DeviceInfo, GenericResourcesItem
from boxship.spec.engine.document import Document
from boxship.spec.engine.swarm import SwarmInfo


class SystemVersionPlatform(Document):
    """Engine API object `SystemVersionPlatform`."""

    name: str | None = field(default=None, name="Name")


class SystemVersionComponentsItem(Document):
    """Engine API object `SystemVersionComponentsItem`."""

    name: str | None = field(default=None, name="Name")
    version: str | None = field(default=None, name="Version")
    details: dict[str, object] | None = field(default=None, name="Details")


class SystemVersion(Document):
    """Engine API object `SystemVersion`."""

    platform: SystemVersionPlatform | None = field(default=None, name="Platform")
    components: list[SystemVersionComponentsItem] | None = field(default=None, name="Components")
    version: str | None = field(default=None, name="Version")
    api_version: str | None = field(default=None, name="ApiVersion")
    min_api_version: str | None = field(default=None, name="MinAPIVersion")
    git_commit: str | None = field(default=None, name="GitCommit")
    go_version: str | None = field(default=None, name="GoVersion")
    os: str | None = field(default=None, name="Os")
    arch: str | None = field(default=None, name="Arch")
    kernel_version: str | None = field(default=None, name="KernelVersion")
    experimental: bool | None = field(default=None, name="Experimental")
    build_time: str | None = field(default=None, name="BuildTime")


class PluginsInfo(Document):
    """Engine API object `PluginsInfo`."""

    volume: list[str] | None = field(default=None, name="Volume")
    network: list[str] | None = field(default=None, name="Network")
    authorization: list[str] | None = field(default=None, name="Authorization")
    log: list[str] | None = field(default=None, name="Log")


class IndexInfo(Document):
    """Engine API object `IndexInfo`."""

    name: str | None = field(default=None, name="Name")
    mirrors: list[str] | None = field(default=None, name="Mirrors")
    secure: bool | None = field(default=None, name="Secure")
    official: bool | None = field(default=None, name="Official")


class RegistryServiceConfig(Document):
    """Engine API object `RegistryServiceConfig`."""

    insecure_registry_cid_rs: list[str] | None = field(default=None, name="InsecureRegistryCIDRs")
    index_configs: dict[str, IndexInfo] | None = field(default=None, name="IndexConfigs")
    mirrors: list[str] | None = field(default=None, name="Mirrors")


class Runtime(Document):
    """Engine API object `Runtime`."""

    path: str | None = field(default=None, name="path")
    runtime_args: list[str] | None = field(default=None, name="runtimeArgs")
    status: dict[str, str] | None = field(default=None, name="status")


class Commit(Document):
    """Engine API object `Commit`."""

    id: str | None = field(default=None, name="ID")


class SystemInfoDefaultAddressPoolsItem(Document):
    """Engine API object `SystemInfoDefaultAddressPoolsItem`."""

    base: str | None = field(default=None, name="Base")
    size: int | None = field(default=None, name="Size")


class FirewallInfo(Document):
    """Engine API object `FirewallInfo`."""

    driver: str | None = field(default=None, name="Driver")
    info: list[list[str]] | None = field(default=None, name="Info")


class NRIInfo(Document):
    """Engine API object `NRIInfo`."""

    info: list[list[str]] | None = field(default=None, name="Info")


class ContainerdInfoNamespaces(Document):
    """Engine API object `ContainerdInfoNamespaces`."""

    containers: str | None = field(default=None, name="Containers")
    plugins: str | None = field(default=None, name="Plugins")


class ContainerdInfo(Document):
    """Engine API object `ContainerdInfo`."""

    address: str | None = field(default=None, name="Address")
    namespaces: ContainerdInfoNamespaces | None = field(default=None, name="Namespaces")


class SystemInfo(Document):
    """Engine API object `SystemInfo`."""

    id: str | None = field(default=None, name="ID")
    containers: int | None = field(default=None, name="Containers")
    containers_running: int | None = field(default=None, name="ContainersRunning")
    containers_paused: int | None = field(default=None, name="ContainersPaused")
    containers_stopped: int | None = field(default=None, name="ContainersStopped")
    images: int | None = field(default=None, name="Images")
    driver: str | None = field(default=None, name="Driver")
    driver_status: list[list[str]] | None = field(default=None, name="DriverStatus")
    docker_root_dir: str | None = field(default=None, name="DockerRootDir")
    plugins: PluginsInfo | None = field(default=None, name="Plugins")
    memory_limit: bool | None = field(default=None, name="MemoryLimit")
    swap_limit: bool | None = field(default=None, name="SwapLimit")
    cpu_cfs_period: bool | None = field(default=None, name="CpuCfsPeriod")
    cpu_cfs_quota: bool | None = field(default=None, name="CpuCfsQuota")
    cpu_shares: bool | None = field(default=None, name="CPUShares")
    cpu_set: bool | None = field(default=None, name="CPUSet")
    pids_limit: bool | None = field(default=None, name="PidsLimit")
    oom_kill_disable: bool | None = field(default=None, name="OomKillDisable")
    i_pv4_forwarding: bool | None = field(default=None, name="IPv4Forwarding")
    debug: bool | None = field(default=None, name="Debug")
    n_fd: int | None = field(default=None, name="NFd")
    n_goroutines: int | None = field(default=None, name="NGoroutines")
    system_time: str | None = field(default=None, name="SystemTime")
    logging_driver: str | None = field(default=None, name="LoggingDriver")
    cgroup_driver: str | None = field(default=None, name="CgroupDriver")
    cgroup_version: str | None = field(default=None, name="CgroupVersion")
    n_events_listener: int | None = field(default=None, name="NEventsListener")
    kernel_version: str | None = field(default=None, name="KernelVersion")
    operating_system: str | None = field(default=None, name="OperatingSystem")
    os_version: str | None = field(default=None, name="OSVersion")
    os_type: str | None = field(default=None, name="OSType")
    architecture: str | None = field(default=None, name="Architecture")
    ncpu: int | None = field(default=None, name="NCPU")
    mem_total: int | None = field(default=None, name="MemTotal")
    index_server_address: str | None = field(default=None, name="IndexServerAddress")
    registry_config: RegistryServiceConfig | None = field(default=None, name="RegistryConfig")
    generic_resources: list[GenericResourcesItem] | None = field(
        default=None, name="GenericResources"
    )
    http_proxy: str | None = field(default=None, name="HttpProxy")
    https_proxy: str | None = field(default=None, name="HttpsProxy")
    no_proxy: str | None = field(default=None, name="NoProxy")
    name: str | None = field(default=None, name="Name")
    labels: list[str] | None = field(default=None, name="Labels")
    experimental_build: bool | None = field(default=None, name="ExperimentalBuild")
    server_version: str | None = field(default=None, name="ServerVersion")
    runtimes: dict[str, Runtime] | None = field(default=None, name="Runtimes")
    default_runtime: str | None = field(default=None, name="DefaultRuntime")
    swarm: SwarmInfo | None = field(default=None, name="Swarm")
    live_restore_enabled: bool | None = field(default=None, name="LiveRestoreEnabled")
    isolation: str | None = field(default=None, name="Isolation")
    init_binary: str | None = field(default=None, name="InitBinary")
    containerd_commit: Commit | None = field(default=None, name="ContainerdCommit")
    runc_commit: Commit | None = field(default=None, name="RuncCommit")
    init_commit: Commit | None = field(default=None, name="InitCommit")
    security_options: list[str] | None = field(default=None, name="SecurityOptions")
    product_license: str | None = field(default=None, name="ProductLicense")
    default_address_pools: list[SystemInfoDefaultAddressPoolsItem] | None = field(
        default=None, name="DefaultAddressPools"
    )
    firewall_backend: FirewallInfo | None = field(default=None, name="FirewallBackend")
    discovered_devices: list[DeviceInfo] | None = field(default=None, name="DiscoveredDevices")
    nri: NRIInfo | None = field(default=None, name="NRI")
    warnings: list[str] | None = field(default=None, name="Warnings")
    cdi_spec_dirs: list[str] | None = field(default=None, name="CDISpecDirs")
    containerd: ContainerdInfo | None = field(default=None, name="Containerd")


class EventActor(Document):
    """Engine API object `EventActor`."""

    id: str | None = field(default=None, name="ID")
    attributes: dict[str, str] | None = field(default=None, name="Attributes")


class EventMessage(Document):
    """Engine API object `EventMessage`."""

    type: str | None = field(default=None, name="Type")
    action: str | None = field(default=None, name="Action")
    actor: EventActor | None = field(default=None, name="Actor")
    scope: str | None = field(default=None, name="scope")
    time: int | None = field(default=None, name="time")
    time_nano: int | None = field(default=None, name="timeNano")


class ErrorResponse(Document):
    """Engine API object `ErrorResponse`."""

    message: str | None = field(default=None, name="message")


class IDResponse(Document):
    """Engine API object `IDResponse`."""

    id: str | None = field(default=None, name="Id")


class ImagesDiskUsage(Document):
    """Engine API object `ImagesDiskUsage`."""

    active_count: int | None = field(default=None, name="ActiveCount")
    total_count: int | None = field(default=None, name="TotalCount")
    reclaimable: int | None = field(default=None, name="Reclaimable")
    total_size: int | None = field(default=None, name="TotalSize")
    items: list[object] | None = field(default=None, name="Items")


class VolumesDiskUsage(Document):
    """Engine API object `VolumesDiskUsage`."""

    active_count: int | None = field(default=None, name="ActiveCount")
    total_count: int | None = field(default=None, name="TotalCount")
    reclaimable: int | None = field(default=None, name="Reclaimable")
    total_size: int | None = field(default=None, name="TotalSize")
    items: list[object] | None = field(default=None, name="Items")


class BuildCacheDiskUsage(Document):
    """Engine API object `BuildCacheDiskUsage`."""

    active_count: int | None = field(default=None, name="ActiveCount")
    total_count: int | None = field(default=None, name="TotalCount")
    reclaimable: int | None = field(default=None, name="Reclaimable")
    total_size: int | None = field(default=None, name="TotalSize")
    items: list[object] | None = field(default=None, name="Items")


class ContainersDiskUsage(Document):
    """Engine API object `ContainersDiskUsage`."""

    active_count: int | None = field(default=None, name="ActiveCount")
    total_count: int | None = field(default=None, name="TotalCount")
    reclaimable: int | None = field(default=None, name="Reclaimable")
    total_size: int | None = field(default=None, name="TotalSize")
    items: list[object] | None = field(default=None, name="Items")


class BuildCache(Document):
    """Engine API object `BuildCache`."""

    id: str | None = field(default=None, name="ID")
    parents: list[str] | None = field(default=None, name="Parents")
    type: str | None = field(default=None, name="Type")
    description: str | None = field(default=None, name="Description")
    in_use: bool | None = field(default=None, name="InUse")
    shared: bool | None = field(default=None, name="Shared")
    size: int | None = field(default=None, name="Size")
    created_at: str | None = field(default=None, name="CreatedAt")
    last_used_at: str | None = field(default=None, name="LastUsedAt")
    usage_count: int | None = field(default=None, name="UsageCount")
