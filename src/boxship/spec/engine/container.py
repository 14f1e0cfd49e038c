"""Engine API documents: containers, as published for API 1.56.

Every member is optional: an absent member and a JSON null both read as None, and None is
left out when a document is written. `api/` decides what a version must show.
"""

from __future__ import annotations

from msgspec import field

from boxship.spec.engine.common import DriverData, HealthConfig, Mount, OCIDescriptor
from boxship.spec.engine.document import Document


class PortSummary(Document):
    """Engine API object `PortSummary`."""

    ip: str | None = field(default=None, name="IP")
    private_port: int | None = field(default=None, name="PrivatePort")
    public_port: int | None = field(default=None, name="PublicPort")
    type: str | None = field(default=None, name="Type")


class ContainerConfig(Document):
    """Engine API object `ContainerConfig`."""

    hostname: str | None = field(default=None, name="Hostname")
    domainname: str | None = field(default=None, name="Domainname")
    user: str | None = field(default=None, name="User")
    attach_stdin: bool | None = field(default=None, name="AttachStdin")
    attach_stdout: bool | None = field(default=None, name="AttachStdout")
    attach_stderr: bool | None = field(default=None, name="AttachStderr")
    exposed_ports: dict[str, dict[str, object]] | None = field(default=None, name="ExposedPorts")
    tty: bool | None = field(default=None, name="Tty")
    open_stdin: bool | None = field(default=None, name="OpenStdin")
    stdin_once: bool | None = field(default=None, name="StdinOnce")
    env: list[str] | None = field(default=None, name="Env")
    cmd: list[str] | None = field(default=None, name="Cmd")
    healthcheck: HealthConfig | None = field(default=None, name="Healthcheck")
    args_escaped: bool | None = field(default=None, name="ArgsEscaped")
    image: str | None = field(default=None, name="Image")
    volumes: dict[str, dict[str, object]] | None = field(default=None, name="Volumes")
    working_dir: str | None = field(default=None, name="WorkingDir")
    entrypoint: list[str] | None = field(default=None, name="Entrypoint")
    network_disabled: bool | None = field(default=None, name="NetworkDisabled")
    on_build: list[str] | None = field(default=None, name="OnBuild")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    stop_signal: str | None = field(default=None, name="StopSignal")
    stop_timeout: int | None = field(default=None, name="StopTimeout")
    shell: list[str] | None = field(default=None, name="Shell")


class HostConfigBlkioWeightDeviceItem(Document):
    """Engine API object `HostConfigBlkioWeightDeviceItem`."""

    path: str | None = field(default=None, name="Path")
    weight: int | None = field(default=None, name="Weight")


class ThrottleDevice(Document):
    """Engine API object `ThrottleDevice`."""

    path: str | None = field(default=None, name="Path")
    rate: int | None = field(default=None, name="Rate")


class DeviceMapping(Document):
    """Engine API object `DeviceMapping`."""

    path_on_host: str | None = field(default=None, name="PathOnHost")
    path_in_container: str | None = field(default=None, name="PathInContainer")
    cgroup_permissions: str | None = field(default=None, name="CgroupPermissions")


class DeviceRequest(Document):
    """Engine API object `DeviceRequest`."""

    driver: str | None = field(default=None, name="Driver")
    count: int | None = field(default=None, name="Count")
    device_ids: list[str] | None = field(default=None, name="DeviceIDs")
    capabilities: list[list[str]] | None = field(default=None, name="Capabilities")
    options: dict[str, str] | None = field(default=None, name="Options")


class HostConfigUlimitsItem(Document):
    """Engine API object `HostConfigUlimitsItem`."""

    name: str | None = field(default=None, name="Name")
    soft: int | None = field(default=None, name="Soft")
    hard: int | None = field(default=None, name="Hard")


class HostConfigLogConfig(Document):
    """Engine API object `HostConfigLogConfig`."""

    type: str | None = field(default=None, name="Type")
    config: dict[str, str] | None = field(default=None, name="Config")


class PortBinding(Document):
    """Engine API object `PortBinding`."""

    host_ip: str | None = field(default=None, name="HostIp")
    host_port: str | None = field(default=None, name="HostPort")


class RestartPolicy(Document):
    """Engine API object `RestartPolicy`."""

    name: str | None = field(default=None, name="Name")
    maximum_retry_count: int | None = field(default=None, name="MaximumRetryCount")


class HostConfig(Document):
    """Engine API object `HostConfig`."""

    cpu_shares: int | None = field(default=None, name="CpuShares")
    memory: int | None = field(default=None, name="Memory")
    cgroup_parent: str | None = field(default=None, name="CgroupParent")
    blkio_weight: int | None = field(default=None, name="BlkioWeight")
    blkio_weight_device: list[HostConfigBlkioWeightDeviceItem] | None = field(
        default=None, name="BlkioWeightDevice"
    )
    blkio_device_read_bps: list[ThrottleDevice] | None = field(
        default=None, name="BlkioDeviceReadBps"
    )
    blkio_device_write_bps: list[ThrottleDevice] | None = field(
        default=None, name="BlkioDeviceWriteBps"
    )
    blkio_device_read_iops: list[ThrottleDevice] | None = field(
        default=None, name="BlkioDeviceReadIOps"
    )
    blkio_device_write_iops: list[ThrottleDevice] | None = field(
        default=None, name="BlkioDeviceWriteIOps"
    )
    cpu_period: int | None = field(default=None, name="CpuPeriod")
    cpu_quota: int | None = field(default=None, name="CpuQuota")
    cpu_realtime_period: int | None = field(default=None, name="CpuRealtimePeriod")
    cpu_realtime_runtime: int | None = field(default=None, name="CpuRealtimeRuntime")
    cpuset_cpus: str | None = field(default=None, name="CpusetCpus")
    cpuset_mems: str | None = field(default=None, name="CpusetMems")
    devices: list[DeviceMapping] | None = field(default=None, name="Devices")
    device_cgroup_rules: list[str] | None = field(default=None, name="DeviceCgroupRules")
    device_requests: list[DeviceRequest] | None = field(default=None, name="DeviceRequests")
    memory_reservation: int | None = field(default=None, name="MemoryReservation")
    memory_swap: int | None = field(default=None, name="MemorySwap")
    memory_swappiness: int | None = field(default=None, name="MemorySwappiness")
    nano_cpus: int | None = field(default=None, name="NanoCpus")
    oom_kill_disable: bool | None = field(default=None, name="OomKillDisable")
    init: bool | None = field(default=None, name="Init")
    pids_limit: int | None = field(default=None, name="PidsLimit")
    ulimits: list[HostConfigUlimitsItem] | None = field(default=None, name="Ulimits")
    cpu_count: int | None = field(default=None, name="CpuCount")
    cpu_percent: int | None = field(default=None, name="CpuPercent")
    io_maximum_iops: int | None = field(default=None, name="IOMaximumIOps")
    io_maximum_bandwidth: int | None = field(default=None, name="IOMaximumBandwidth")
    binds: list[str] | None = field(default=None, name="Binds")
    container_id_file: str | None = field(default=None, name="ContainerIDFile")
    log_config: HostConfigLogConfig | None = field(default=None, name="LogConfig")
    network_mode: str | None = field(default=None, name="NetworkMode")
    port_bindings: dict[str, list[PortBinding] | None] | None = field(
        default=None, name="PortBindings"
    )
    restart_policy: RestartPolicy | None = field(default=None, name="RestartPolicy")
    auto_remove: bool | None = field(default=None, name="AutoRemove")
    volume_driver: str | None = field(default=None, name="VolumeDriver")
    volumes_from: list[str] | None = field(default=None, name="VolumesFrom")
    mounts: list[Mount] | None = field(default=None, name="Mounts")
    console_size: list[int] | None = field(default=None, name="ConsoleSize")
    annotations: dict[str, str] | None = field(default=None, name="Annotations")
    cap_add: list[str] | None = field(default=None, name="CapAdd")
    cap_drop: list[str] | None = field(default=None, name="CapDrop")
    cgroupns_mode: str | None = field(default=None, name="CgroupnsMode")
    dns: list[str] | None = field(default=None, name="Dns")
    dns_options: list[str] | None = field(default=None, name="DnsOptions")
    dns_search: list[str] | None = field(default=None, name="DnsSearch")
    extra_hosts: list[str] | None = field(default=None, name="ExtraHosts")
    group_add: list[str] | None = field(default=None, name="GroupAdd")
    ipc_mode: str | None = field(default=None, name="IpcMode")
    cgroup: str | None = field(default=None, name="Cgroup")
    links: list[str] | None = field(default=None, name="Links")
    oom_score_adj: int | None = field(default=None, name="OomScoreAdj")
    pid_mode: str | None = field(default=None, name="PidMode")
    privileged: bool | None = field(default=None, name="Privileged")
    publish_all_ports: bool | None = field(default=None, name="PublishAllPorts")
    readonly_rootfs: bool | None = field(default=None, name="ReadonlyRootfs")
    security_opt: list[str] | None = field(default=None, name="SecurityOpt")
    storage_opt: dict[str, str] | None = field(default=None, name="StorageOpt")
    tmpfs: dict[str, str] | None = field(default=None, name="Tmpfs")
    uts_mode: str | None = field(default=None, name="UTSMode")
    userns_mode: str | None = field(default=None, name="UsernsMode")
    shm_size: int | None = field(default=None, name="ShmSize")
    sysctls: dict[str, str] | None = field(default=None, name="Sysctls")
    runtime: str | None = field(default=None, name="Runtime")
    isolation: str | None = field(default=None, name="Isolation")
    masked_paths: list[str] | None = field(default=None, name="MaskedPaths")
    readonly_paths: list[str] | None = field(default=None, name="ReadonlyPaths")


class ResourcesBlkioWeightDeviceItem(Document):
    """Engine API object `ResourcesBlkioWeightDeviceItem`."""

    path: str | None = field(default=None, name="Path")
    weight: int | None = field(default=None, name="Weight")


class ResourcesUlimitsItem(Document):
    """Engine API object `ResourcesUlimitsItem`."""

    name: str | None = field(default=None, name="Name")
    soft: int | None = field(default=None, name="Soft")
    hard: int | None = field(default=None, name="Hard")


class Resources(Document):
    """Engine API object `Resources`."""

    cpu_shares: int | None = field(default=None, name="CpuShares")
    memory: int | None = field(default=None, name="Memory")
    cgroup_parent: str | None = field(default=None, name="CgroupParent")
    blkio_weight: int | None = field(default=None, name="BlkioWeight")
    blkio_weight_device: list[ResourcesBlkioWeightDeviceItem] | None = field(
        default=None, name="BlkioWeightDevice"
    )
    blkio_device_read_bps: list[ThrottleDevice] | None = field(
        default=None, name="BlkioDeviceReadBps"
    )
    blkio_device_write_bps: list[ThrottleDevice] | None = field(
        default=None, name="BlkioDeviceWriteBps"
    )
    blkio_device_read_iops: list[ThrottleDevice] | None = field(
        default=None, name="BlkioDeviceReadIOps"
    )
    blkio_device_write_iops: list[ThrottleDevice] | None = field(
        default=None, name="BlkioDeviceWriteIOps"
    )
    cpu_period: int | None = field(default=None, name="CpuPeriod")
    cpu_quota: int | None = field(default=None, name="CpuQuota")
    cpu_realtime_period: int | None = field(default=None, name="CpuRealtimePeriod")
    cpu_realtime_runtime: int | None = field(default=None, name="CpuRealtimeRuntime")
    cpuset_cpus: str | None = field(default=None, name="CpusetCpus")
    cpuset_mems: str | None = field(default=None, name="CpusetMems")
    devices: list[DeviceMapping] | None = field(default=None, name="Devices")
    device_cgroup_rules: list[str] | None = field(default=None, name="DeviceCgroupRules")
    device_requests: list[DeviceRequest] | None = field(default=None, name="DeviceRequests")
    memory_reservation: int | None = field(default=None, name="MemoryReservation")
    memory_swap: int | None = field(default=None, name="MemorySwap")
    memory_swappiness: int | None = field(default=None, name="MemorySwappiness")
    nano_cpus: int | None = field(default=None, name="NanoCpus")
    oom_kill_disable: bool | None = field(default=None, name="OomKillDisable")
    init: bool | None = field(default=None, name="Init")
    pids_limit: int | None = field(default=None, name="PidsLimit")
    ulimits: list[ResourcesUlimitsItem] | None = field(default=None, name="Ulimits")
    cpu_count: int | None = field(default=None, name="CpuCount")
    cpu_percent: int | None = field(default=None, name="CpuPercent")
    io_maximum_iops: int | None = field(default=None, name="IOMaximumIOps")
    io_maximum_bandwidth: int | None = field(default=None, name="IOMaximumBandwidth")


class HealthcheckResult(Document):
    """Engine API object `HealthcheckResult`."""

    start: str | None = field(default=None, name="Start")
    end: str | None = field(default=None, name="End")
    exit_code: int | None = field(default=None, name="ExitCode")
    output: str | None = field(default=None, name="Output")


class Health(Document):
    """Engine API object `Health`."""

    status: str | None = field(default=None, name="Status")
    failing_streak: int | None = field(default=None, name="FailingStreak")
    log: list[HealthcheckResult] | None = field(default=None, name="Log")


class MountPoint(Document):
    """Engine API object `MountPoint`."""

    type: str | None = field(default=None, name="Type")
    name: str | None = field(default=None, name="Name")
    source: str | None = field(default=None, name="Source")
    destination: str | None = field(default=None, name="Destination")
    driver: str | None = field(default=None, name="Driver")
    mode: str | None = field(default=None, name="Mode")
    rw: bool | None = field(default=None, name="RW")
    propagation: str | None = field(default=None, name="Propagation")


class EndpointIPAMConfig(Document):
    """Engine API object `EndpointIPAMConfig`."""

    i_pv4_address: str | None = field(default=None, name="IPv4Address")
    i_pv6_address: str | None = field(default=None, name="IPv6Address")
    link_local_ips: list[str] | None = field(default=None, name="LinkLocalIPs")


class EndpointSettings(Document):
    """Engine API object `EndpointSettings`."""

    ipam_config: EndpointIPAMConfig | None = field(default=None, name="IPAMConfig")
    links: list[str] | None = field(default=None, name="Links")
    mac_address: str | None = field(default=None, name="MacAddress")
    aliases: list[str] | None = field(default=None, name="Aliases")
    driver_opts: dict[str, str] | None = field(default=None, name="DriverOpts")
    gw_priority: int | None = field(default=None, name="GwPriority")
    network_id: str | None = field(default=None, name="NetworkID")
    endpoint_id: str | None = field(default=None, name="EndpointID")
    gateway: str | None = field(default=None, name="Gateway")
    ip_address: str | None = field(default=None, name="IPAddress")
    ip_prefix_len: int | None = field(default=None, name="IPPrefixLen")
    i_pv6_gateway: str | None = field(default=None, name="IPv6Gateway")
    global_i_pv6_address: str | None = field(default=None, name="GlobalIPv6Address")
    global_i_pv6_prefix_len: int | None = field(default=None, name="GlobalIPv6PrefixLen")
    dns_names: list[str] | None = field(default=None, name="DNSNames")


class NetworkingConfig(Document):
    """Engine API object `NetworkingConfig`."""

    endpoints_config: dict[str, EndpointSettings] | None = field(
        default=None, name="EndpointsConfig"
    )


class NetworkSettings(Document):
    """Engine API object `NetworkSettings`."""

    sandbox_id: str | None = field(default=None, name="SandboxID")
    sandbox_key: str | None = field(default=None, name="SandboxKey")
    ports: dict[str, list[PortBinding] | None] | None = field(default=None, name="Ports")
    networks: dict[str, EndpointSettings] | None = field(default=None, name="Networks")


class Address(Document):
    """Engine API object `Address`."""

    addr: str | None = field(default=None, name="Addr")
    prefix_len: int | None = field(default=None, name="PrefixLen")


class RootFSStorageSnapshot(Document):
    """Engine API object `RootFSStorageSnapshot`."""

    name: str | None = field(default=None, name="Name")


class RootFSStorage(Document):
    """Engine API object `RootFSStorage`."""

    snapshot: RootFSStorageSnapshot | None = field(default=None, name="Snapshot")


class Storage(Document):
    """Engine API object `Storage`."""

    root_fs: RootFSStorage | None = field(default=None, name="RootFS")


class FilesystemChange(Document):
    """Engine API object `FilesystemChange`."""

    path: str | None = field(default=None, name="Path")
    kind: int | None = field(default=None, name="Kind")


class ContainerState(Document):
    """Engine API object `ContainerState`."""

    status: str | None = field(default=None, name="Status")
    running: bool | None = field(default=None, name="Running")
    paused: bool | None = field(default=None, name="Paused")
    restarting: bool | None = field(default=None, name="Restarting")
    oom_killed: bool | None = field(default=None, name="OOMKilled")
    dead: bool | None = field(default=None, name="Dead")
    pid: int | None = field(default=None, name="Pid")
    exit_code: int | None = field(default=None, name="ExitCode")
    error: str | None = field(default=None, name="Error")
    started_at: str | None = field(default=None, name="StartedAt")
    finished_at: str | None = field(default=None, name="FinishedAt")
    health: Health | None = field(default=None, name="Health")


class ContainerInspectResponse(Document):
    """Engine API object `ContainerInspectResponse`."""

    id: str | None = field(default=None, name="Id")
    created: str | None = field(default=None, name="Created")
    path: str | None = field(default=None, name="Path")
    args: list[str] | None = field(default=None, name="Args")
    state: ContainerState | None = field(default=None, name="State")
    image: str | None = field(default=None, name="Image")
    resolv_conf_path: str | None = field(default=None, name="ResolvConfPath")
    hostname_path: str | None = field(default=None, name="HostnamePath")
    hosts_path: str | None = field(default=None, name="HostsPath")
    log_path: str | None = field(default=None, name="LogPath")
    name: str | None = field(default=None, name="Name")
    restart_count: int | None = field(default=None, name="RestartCount")
    driver: str | None = field(default=None, name="Driver")
    platform: str | None = field(default=None, name="Platform")
    image_manifest_descriptor: OCIDescriptor | None = field(
        default=None, name="ImageManifestDescriptor"
    )
    mount_label: str | None = field(default=None, name="MountLabel")
    process_label: str | None = field(default=None, name="ProcessLabel")
    app_armor_profile: str | None = field(default=None, name="AppArmorProfile")
    exec_ids: list[str] | None = field(default=None, name="ExecIDs")
    host_config: HostConfig | None = field(default=None, name="HostConfig")
    graph_driver: DriverData | None = field(default=None, name="GraphDriver")
    storage: Storage | None = field(default=None, name="Storage")
    size_rw: int | None = field(default=None, name="SizeRw")
    size_root_fs: int | None = field(default=None, name="SizeRootFs")
    mounts: list[MountPoint] | None = field(default=None, name="Mounts")
    config: ContainerConfig | None = field(default=None, name="Config")
    network_settings: NetworkSettings | None = field(default=None, name="NetworkSettings")


class ContainerSummaryHostConfig(Document):
    """Engine API object `ContainerSummaryHostConfig`."""

    network_mode: str | None = field(default=None, name="NetworkMode")
    annotations: dict[str, str] | None = field(default=None, name="Annotations")


class ContainerSummaryNetworkSettings(Document):
    """Engine API object `ContainerSummaryNetworkSettings`."""

    networks: dict[str, EndpointSettings] | None = field(default=None, name="Networks")


class ContainerSummaryHealth(Document):
    """Engine API object `ContainerSummaryHealth`."""

    status: str | None = field(default=None, name="Status")
    failing_streak: int | None = field(default=None, name="FailingStreak")


class ContainerSummary(Document):
    """Engine API object `ContainerSummary`."""

    id: str | None = field(default=None, name="Id")
    names: list[str] | None = field(default=None, name="Names")
    image: str | None = field(default=None, name="Image")
    image_id: str | None = field(default=None, name="ImageID")
    image_manifest_descriptor: OCIDescriptor | None = field(
        default=None, name="ImageManifestDescriptor"
    )
    command: str | None = field(default=None, name="Command")
    created: int | None = field(default=None, name="Created")
    ports: list[PortSummary] | None = field(default=None, name="Ports")
    size_rw: int | None = field(default=None, name="SizeRw")
    size_root_fs: int | None = field(default=None, name="SizeRootFs")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    state: str | None = field(default=None, name="State")
    status: str | None = field(default=None, name="Status")
    host_config: ContainerSummaryHostConfig | None = field(default=None, name="HostConfig")
    network_settings: ContainerSummaryNetworkSettings | None = field(
        default=None, name="NetworkSettings"
    )
    mounts: list[MountPoint] | None = field(default=None, name="Mounts")
    health: ContainerSummaryHealth | None = field(default=None, name="Health")


class ContainerCreateResponse(Document):
    """Engine API object `ContainerCreateResponse`."""

    id: str | None = field(default=None, name="Id")
    warnings: list[str] | None = field(default=None, name="Warnings")


class ContainerUpdateResponse(Document):
    """Engine API object `ContainerUpdateResponse`."""

    warnings: list[str] | None = field(default=None, name="Warnings")


class ContainerCPUUsage(Document):
    """Engine API object `ContainerCPUUsage`."""

    total_usage: int | None = field(default=None, name="total_usage")
    percpu_usage: list[int] | None = field(default=None, name="percpu_usage")
    usage_in_kernelmode: int | None = field(default=None, name="usage_in_kernelmode")
    usage_in_usermode: int | None = field(default=None, name="usage_in_usermode")


class ContainerThrottlingData(Document):
    """Engine API object `ContainerThrottlingData`."""

    periods: int | None = field(default=None, name="periods")
    throttled_periods: int | None = field(default=None, name="throttled_periods")
    throttled_time: int | None = field(default=None, name="throttled_time")


class ContainerCPUStats(Document):
    """Engine API object `ContainerCPUStats`."""

    cpu_usage: ContainerCPUUsage | None = field(default=None, name="cpu_usage")
    system_cpu_usage: int | None = field(default=None, name="system_cpu_usage")
    online_cpus: int | None = field(default=None, name="online_cpus")
    throttling_data: ContainerThrottlingData | None = field(default=None, name="throttling_data")


class ContainerMemoryStats(Document):
    """Engine API object `ContainerMemoryStats`."""

    usage: int | None = field(default=None, name="usage")
    max_usage: int | None = field(default=None, name="max_usage")
    stats: dict[str, int | None] | None = field(default=None, name="stats")
    failcnt: int | None = field(default=None, name="failcnt")
    limit: int | None = field(default=None, name="limit")
    commitbytes: int | None = field(default=None, name="commitbytes")
    commitpeakbytes: int | None = field(default=None, name="commitpeakbytes")
    privateworkingset: int | None = field(default=None, name="privateworkingset")


class ContainerPidsStats(Document):
    """Engine API object `ContainerPidsStats`."""

    current: int | None = field(default=None, name="current")
    limit: int | None = field(default=None, name="limit")


class ContainerBlkioStatEntry(Document):
    """Engine API object `ContainerBlkioStatEntry`."""

    major: int | None = field(default=None, name="major")
    minor: int | None = field(default=None, name="minor")
    op: str | None = field(default=None, name="op")
    value: int | None = field(default=None, name="value")


class ContainerBlkioStats(Document):
    """Engine API object `ContainerBlkioStats`."""

    io_service_bytes_recursive: list[ContainerBlkioStatEntry] | None = field(
        default=None, name="io_service_bytes_recursive"
    )
    io_serviced_recursive: list[ContainerBlkioStatEntry] | None = field(
        default=None, name="io_serviced_recursive"
    )
    io_queue_recursive: list[ContainerBlkioStatEntry] | None = field(
        default=None, name="io_queue_recursive"
    )
    io_service_time_recursive: list[ContainerBlkioStatEntry] | None = field(
        default=None, name="io_service_time_recursive"
    )
    io_wait_time_recursive: list[ContainerBlkioStatEntry] | None = field(
        default=None, name="io_wait_time_recursive"
    )
    io_merged_recursive: list[ContainerBlkioStatEntry] | None = field(
        default=None, name="io_merged_recursive"
    )
    io_time_recursive: list[ContainerBlkioStatEntry] | None = field(
        default=None, name="io_time_recursive"
    )
    sectors_recursive: list[ContainerBlkioStatEntry] | None = field(
        default=None, name="sectors_recursive"
    )


class ContainerStorageStats(Document):
    """Engine API object `ContainerStorageStats`."""

    read_count_normalized: int | None = field(default=None, name="read_count_normalized")
    read_size_bytes: int | None = field(default=None, name="read_size_bytes")
    write_count_normalized: int | None = field(default=None, name="write_count_normalized")
    write_size_bytes: int | None = field(default=None, name="write_size_bytes")


class ContainerNetworkStats(Document):
    """Engine API object `ContainerNetworkStats`."""

    rx_bytes: int | None = field(default=None, name="rx_bytes")
    rx_packets: int | None = field(default=None, name="rx_packets")
    rx_errors: int | None = field(default=None, name="rx_errors")
    rx_dropped: int | None = field(default=None, name="rx_dropped")
    tx_bytes: int | None = field(default=None, name="tx_bytes")
    tx_packets: int | None = field(default=None, name="tx_packets")
    tx_errors: int | None = field(default=None, name="tx_errors")
    tx_dropped: int | None = field(default=None, name="tx_dropped")
    endpoint_id: str | None = field(default=None, name="endpoint_id")
    instance_id: str | None = field(default=None, name="instance_id")


class ContainerStatsResponse(Document):
    """Engine API object `ContainerStatsResponse`."""

    id: str | None = field(default=None, name="id")
    name: str | None = field(default=None, name="name")
    os_type: str | None = field(default=None, name="os_type")
    read: str | None = field(default=None, name="read")
    cpu_stats: ContainerCPUStats | None = field(default=None, name="cpu_stats")
    memory_stats: ContainerMemoryStats | None = field(default=None, name="memory_stats")
    networks: dict[str, ContainerNetworkStats] | None = field(default=None, name="networks")
    pids_stats: ContainerPidsStats | None = field(default=None, name="pids_stats")
    blkio_stats: ContainerBlkioStats | None = field(default=None, name="blkio_stats")
    num_procs: int | None = field(default=None, name="num_procs")
    storage_stats: ContainerStorageStats | None = field(default=None, name="storage_stats")
    preread: str | None = field(default=None, name="preread")
    precpu_stats: ContainerCPUStats | None = field(default=None, name="precpu_stats")


class ContainerTopResponse(Document):
    """Engine API object `ContainerTopResponse`."""

    titles: list[str] | None = field(default=None, name="Titles")
    processes: list[list[str]] | None = field(default=None, name="Processes")


class ContainerWaitExitError(Document):
    """Engine API object `ContainerWaitExitError`."""

    message: str | None = field(default=None, name="Message")


class ContainerWaitResponse(Document):
    """Engine API object `ContainerWaitResponse`."""

    status_code: int | None = field(default=None, name="StatusCode")
    error: ContainerWaitExitError | None = field(default=None, name="Error")


class ProcessConfig(Document):
    """Engine API object `ProcessConfig`."""

    privileged: bool | None = field(default=None, name="privileged")
    user: str | None = field(default=None, name="user")
    tty: bool | None = field(default=None, name="tty")
    entrypoint: str | None = field(default=None, name="entrypoint")
    arguments: list[str] | None = field(default=None, name="arguments")
