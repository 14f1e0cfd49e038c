"""Engine API documents: swarm objects, as published for API 1.56.

Every member is optional: an absent member and a JSON null both read as None, and None is
left out when a document is written. `api/` decides what a version must show.
"""

from __future__ import annotations

from msgspec import field

from boxship.spec.engine.common import (
    GenericResourcesItem,
    HealthConfig,
    Limit,
    Mount,
    ObjectVersion,
    PluginPrivilege,
    ResourceObject,
)
from boxship.spec.engine.document import Document
from boxship.spec.engine.network import Network


class PeerNode(Document):
    """Engine API object `PeerNode`."""

    node_id: str | None = field(default=None, name="NodeID")
    addr: str | None = field(default=None, name="Addr")


class SwarmSpecOrchestration(Document):
    """Engine API object `SwarmSpecOrchestration`."""

    task_history_retention_limit: int | None = field(default=None, name="TaskHistoryRetentionLimit")


class SwarmSpecRaft(Document):
    """Engine API object `SwarmSpecRaft`."""

    snapshot_interval: int | None = field(default=None, name="SnapshotInterval")
    keep_old_snapshots: int | None = field(default=None, name="KeepOldSnapshots")
    log_entries_for_slow_followers: int | None = field(
        default=None, name="LogEntriesForSlowFollowers"
    )
    election_tick: int | None = field(default=None, name="ElectionTick")
    heartbeat_tick: int | None = field(default=None, name="HeartbeatTick")


class SwarmSpecDispatcher(Document):
    """Engine API object `SwarmSpecDispatcher`."""

    heartbeat_period: int | None = field(default=None, name="HeartbeatPeriod")


class SwarmSpecCAConfigExternalCAsItem(Document):
    """Engine API object `SwarmSpecCAConfigExternalCAsItem`."""

    protocol: str | None = field(default=None, name="Protocol")
    url: str | None = field(default=None, name="URL")
    options: dict[str, str] | None = field(default=None, name="Options")
    ca_cert: str | None = field(default=None, name="CACert")


class SwarmSpecCAConfig(Document):
    """Engine API object `SwarmSpecCAConfig`."""

    node_cert_expiry: int | None = field(default=None, name="NodeCertExpiry")
    external_c_as: list[SwarmSpecCAConfigExternalCAsItem] | None = field(
        default=None, name="ExternalCAs"
    )
    signing_ca_cert: str | None = field(default=None, name="SigningCACert")
    signing_ca_key: str | None = field(default=None, name="SigningCAKey")
    force_rotate: int | None = field(default=None, name="ForceRotate")


class SwarmSpecEncryptionConfig(Document):
    """Engine API object `SwarmSpecEncryptionConfig`."""

    auto_lock_managers: bool | None = field(default=None, name="AutoLockManagers")


class SwarmSpecTaskDefaultsLogDriver(Document):
    """Engine API object `SwarmSpecTaskDefaultsLogDriver`."""

    name: str | None = field(default=None, name="Name")
    options: dict[str, str] | None = field(default=None, name="Options")


class SwarmSpecTaskDefaults(Document):
    """Engine API object `SwarmSpecTaskDefaults`."""

    log_driver: SwarmSpecTaskDefaultsLogDriver | None = field(default=None, name="LogDriver")


class SwarmSpec(Document):
    """Engine API object `SwarmSpec`."""

    name: str | None = field(default=None, name="Name")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    orchestration: SwarmSpecOrchestration | None = field(default=None, name="Orchestration")
    raft: SwarmSpecRaft | None = field(default=None, name="Raft")
    dispatcher: SwarmSpecDispatcher | None = field(default=None, name="Dispatcher")
    ca_config: SwarmSpecCAConfig | None = field(default=None, name="CAConfig")
    encryption_config: SwarmSpecEncryptionConfig | None = field(
        default=None, name="EncryptionConfig"
    )
    task_defaults: SwarmSpecTaskDefaults | None = field(default=None, name="TaskDefaults")


class TLSInfo(Document):
    """Engine API object `TLSInfo`."""

    trust_root: str | None = field(default=None, name="TrustRoot")
    cert_issuer_subject: str | None = field(default=None, name="CertIssuerSubject")
    cert_issuer_public_key: str | None = field(default=None, name="CertIssuerPublicKey")


class ClusterInfo(Document):
    """Engine API object `ClusterInfo`."""

    id: str | None = field(default=None, name="ID")
    version: ObjectVersion | None = field(default=None, name="Version")
    created_at: str | None = field(default=None, name="CreatedAt")
    updated_at: str | None = field(default=None, name="UpdatedAt")
    spec: SwarmSpec | None = field(default=None, name="Spec")
    tls_info: TLSInfo | None = field(default=None, name="TLSInfo")
    root_rotation_in_progress: bool | None = field(default=None, name="RootRotationInProgress")
    data_path_port: int | None = field(default=None, name="DataPathPort")
    default_addr_pool: list[str] | None = field(default=None, name="DefaultAddrPool")
    subnet_size: int | None = field(default=None, name="SubnetSize")


class SwarmInfo(Document):
    """Engine API object `SwarmInfo`."""

    node_id: str | None = field(default=None, name="NodeID")
    node_addr: str | None = field(default=None, name="NodeAddr")
    local_node_state: str | None = field(default=None, name="LocalNodeState")
    control_available: bool | None = field(default=None, name="ControlAvailable")
    error: str | None = field(default=None, name="Error")
    remote_managers: list[PeerNode] | None = field(default=None, name="RemoteManagers")
    nodes: int | None = field(default=None, name="Nodes")
    managers: int | None = field(default=None, name="Managers")
    cluster: ClusterInfo | None = field(default=None, name="Cluster")


class NodeSpec(Document):
    """Engine API object `NodeSpec`."""

    name: str | None = field(default=None, name="Name")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    role: str | None = field(default=None, name="Role")
    availability: str | None = field(default=None, name="Availability")


class Platform(Document):
    """Engine API object `Platform`."""

    architecture: str | None = field(default=None, name="Architecture")
    os: str | None = field(default=None, name="OS")


class EngineDescriptionPluginsItem(Document):
    """Engine API object `EngineDescriptionPluginsItem`."""

    type: str | None = field(default=None, name="Type")
    name: str | None = field(default=None, name="Name")


class EngineDescription(Document):
    """Engine API object `EngineDescription`."""

    engine_version: str | None = field(default=None, name="EngineVersion")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    plugins: list[EngineDescriptionPluginsItem] | None = field(default=None, name="Plugins")


class NodeDescription(Document):
    """Engine API object `NodeDescription`."""

    hostname: str | None = field(default=None, name="Hostname")
    platform: Platform | None = field(default=None, name="Platform")
    resources: ResourceObject | None = field(default=None, name="Resources")
    engine: EngineDescription | None = field(default=None, name="Engine")
    tls_info: TLSInfo | None = field(default=None, name="TLSInfo")


class NodeStatus(Document):
    """Engine API object `NodeStatus`."""

    state: str | None = field(default=None, name="State")
    message: str | None = field(default=None, name="Message")
    addr: str | None = field(default=None, name="Addr")


class ManagerStatus(Document):
    """Engine API object `ManagerStatus`."""

    leader: bool | None = field(default=None, name="Leader")
    reachability: str | None = field(default=None, name="Reachability")
    addr: str | None = field(default=None, name="Addr")


class Node(Document):
    """Engine API object `Node`."""

    id: str | None = field(default=None, name="ID")
    version: ObjectVersion | None = field(default=None, name="Version")
    created_at: str | None = field(default=None, name="CreatedAt")
    updated_at: str | None = field(default=None, name="UpdatedAt")
    spec: NodeSpec | None = field(default=None, name="Spec")
    description: NodeDescription | None = field(default=None, name="Description")
    status: NodeStatus | None = field(default=None, name="Status")
    manager_status: ManagerStatus | None = field(default=None, name="ManagerStatus")


class JoinTokens(Document):
    """Engine API object `JoinTokens`."""

    worker: str | None = field(default=None, name="Worker")
    manager: str | None = field(default=None, name="Manager")


class Swarm(Document):
    """Engine API object `Swarm`."""

    id: str | None = field(default=None, name="ID")
    version: ObjectVersion | None = field(default=None, name="Version")
    created_at: str | None = field(default=None, name="CreatedAt")
    updated_at: str | None = field(default=None, name="UpdatedAt")
    spec: SwarmSpec | None = field(default=None, name="Spec")
    tls_info: TLSInfo | None = field(default=None, name="TLSInfo")
    root_rotation_in_progress: bool | None = field(default=None, name="RootRotationInProgress")
    data_path_port: int | None = field(default=None, name="DataPathPort")
    default_addr_pool: list[str] | None = field(default=None, name="DefaultAddrPool")
    subnet_size: int | None = field(default=None, name="SubnetSize")
    join_tokens: JoinTokens | None = field(default=None, name="JoinTokens")


class TaskSpecPluginSpec(Document):
    """Engine API object `TaskSpecPluginSpec`."""

    name: str | None = field(default=None, name="Name")
    remote: str | None = field(default=None, name="Remote")
    disabled: bool | None = field(default=None, name="Disabled")
    plugin_privilege: list[PluginPrivilege] | None = field(default=None, name="PluginPrivilege")


class TaskSpecContainerSpecPrivilegesCredentialSpec(Document):
    """Engine API object `TaskSpecContainerSpecPrivilegesCredentialSpec`."""

    config: str | None = field(default=None, name="Config")
    file: str | None = field(default=None, name="File")
    registry: str | None = field(default=None, name="Registry")


class TaskSpecContainerSpecPrivilegesSELinuxContext(Document):
    """Engine API object `TaskSpecContainerSpecPrivilegesSELinuxContext`."""

    disable: bool | None = field(default=None, name="Disable")
    user: str | None = field(default=None, name="User")
    role: str | None = field(default=None, name="Role")
    type: str | None = field(default=None, name="Type")
    level: str | None = field(default=None, name="Level")


class TaskSpecContainerSpecPrivilegesSeccomp(Document):
    """Engine API object `TaskSpecContainerSpecPrivilegesSeccomp`."""

    mode: str | None = field(default=None, name="Mode")
    profile: str | None = field(default=None, name="Profile")


class TaskSpecContainerSpecPrivilegesAppArmor(Document):
    """Engine API object `TaskSpecContainerSpecPrivilegesAppArmor`."""

    mode: str | None = field(default=None, name="Mode")


class TaskSpecContainerSpecPrivileges(Document):
    """Engine API object `TaskSpecContainerSpecPrivileges`."""

    credential_spec: TaskSpecContainerSpecPrivilegesCredentialSpec | None = field(
        default=None, name="CredentialSpec"
    )
    se_linux_context: TaskSpecContainerSpecPrivilegesSELinuxContext | None = field(
        default=None, name="SELinuxContext"
    )
    seccomp: TaskSpecContainerSpecPrivilegesSeccomp | None = field(default=None, name="Seccomp")
    app_armor: TaskSpecContainerSpecPrivilegesAppArmor | None = field(default=None, name="AppArmor")
    no_new_privileges: bool | None = field(default=None, name="NoNewPrivileges")


class TaskSpecContainerSpecDNSConfig(Document):
    """Engine API object `TaskSpecContainerSpecDNSConfig`."""

    nameservers: list[str] | None = field(default=None, name="Nameservers")
    search: list[str] | None = field(default=None, name="Search")
    options: list[str] | None = field(default=None, name="Options")


class TaskSpecContainerSpecSecretsItemFile(Document):
    """Engine API object `TaskSpecContainerSpecSecretsItemFile`."""

    name: str | None = field(default=None, name="Name")
    uid: str | None = field(default=None, name="UID")
    gid: str | None = field(default=None, name="GID")
    mode: int | None = field(default=None, name="Mode")


class TaskSpecContainerSpecSecretsItem(Document):
    """Engine API object `TaskSpecContainerSpecSecretsItem`."""

    file: TaskSpecContainerSpecSecretsItemFile | None = field(default=None, name="File")
    secret_id: str | None = field(default=None, name="SecretID")
    secret_name: str | None = field(default=None, name="SecretName")


class TaskSpecContainerSpecConfigsItemFile(Document):
    """Engine API object `TaskSpecContainerSpecConfigsItemFile`."""

    name: str | None = field(default=None, name="Name")
    uid: str | None = field(default=None, name="UID")
    gid: str | None = field(default=None, name="GID")
    mode: int | None = field(default=None, name="Mode")


class TaskSpecContainerSpecConfigsItem(Document):
    """Engine API object `TaskSpecContainerSpecConfigsItem`."""

    file: TaskSpecContainerSpecConfigsItemFile | None = field(default=None, name="File")
    runtime: dict[str, object] | None = field(default=None, name="Runtime")
    config_id: str | None = field(default=None, name="ConfigID")
    config_name: str | None = field(default=None, name="ConfigName")


class TaskSpecContainerSpecUlimitsItem(Document):
    """Engine API object `TaskSpecContainerSpecUlimitsItem`."""

    name: str | None = field(default=None, name="Name")
    soft: int | None = field(default=None, name="Soft")
    hard: int | None = field(default=None, name="Hard")


class TaskSpecContainerSpec(Document):
    """Engine API object `TaskSpecContainerSpec`."""

    image: str | None = field(default=None, name="Image")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    command: list[str] | None = field(default=None, name="Command")
    args: list[str] | None = field(default=None, name="Args")
    hostname: str | None = field(default=None, name="Hostname")
    env: list[str] | None = field(default=None, name="Env")
    dir: str | None = field(default=None, name="Dir")
    user: str | None = field(default=None, name="User")
    groups: list[str] | None = field(default=None, name="Groups")
    privileges: TaskSpecContainerSpecPrivileges | None = field(default=None, name="Privileges")
    tty: bool | None = field(default=None, name="TTY")
    open_stdin: bool | None = field(default=None, name="OpenStdin")
    read_only: bool | None = field(default=None, name="ReadOnly")
    mounts: list[Mount] | None = field(default=None, name="Mounts")
    stop_signal: str | None = field(default=None, name="StopSignal")
    stop_grace_period: int | None = field(default=None, name="StopGracePeriod")
    health_check: HealthConfig | None = field(default=None, name="HealthCheck")
    hosts: list[str] | None = field(default=None, name="Hosts")
    dns_config: TaskSpecContainerSpecDNSConfig | None = field(default=None, name="DNSConfig")
    secrets: list[TaskSpecContainerSpecSecretsItem] | None = field(default=None, name="Secrets")
    oom_score_adj: int | None = field(default=None, name="OomScoreAdj")
    configs: list[TaskSpecContainerSpecConfigsItem] | None = field(default=None, name="Configs")
    isolation: str | None = field(default=None, name="Isolation")
    init: bool | None = field(default=None, name="Init")
    sysctls: dict[str, str] | None = field(default=None, name="Sysctls")
    capability_add: list[str] | None = field(default=None, name="CapabilityAdd")
    capability_drop: list[str] | None = field(default=None, name="CapabilityDrop")
    ulimits: list[TaskSpecContainerSpecUlimitsItem] | None = field(default=None, name="Ulimits")


class TaskSpecNetworkAttachmentSpec(Document):
    """Engine API object `TaskSpecNetworkAttachmentSpec`."""

    container_id: str | None = field(default=None, name="ContainerID")


class TaskSpecResources(Document):
    """Engine API object `TaskSpecResources`."""

    limits: Limit | None = field(default=None, name="Limits")
    reservations: ResourceObject | None = field(default=None, name="Reservations")
    swap_bytes: int | None = field(default=None, name="SwapBytes")
    memory_swappiness: int | None = field(default=None, name="MemorySwappiness")


class TaskSpecRestartPolicy(Document):
    """Engine API object `TaskSpecRestartPolicy`."""

    condition: str | None = field(default=None, name="Condition")
    delay: int | None = field(default=None, name="Delay")
    max_attempts: int | None = field(default=None, name="MaxAttempts")
    window: int | None = field(default=None, name="Window")


class TaskSpecPlacementPreferencesItemSpread(Document):
    """Engine API object `TaskSpecPlacementPreferencesItemSpread`."""

    spread_descriptor: str | None = field(default=None, name="SpreadDescriptor")


class TaskSpecPlacementPreferencesItem(Document):
    """Engine API object `TaskSpecPlacementPreferencesItem`."""

    spread: TaskSpecPlacementPreferencesItemSpread | None = field(default=None, name="Spread")


class TaskSpecPlacement(Document):
    """Engine API object `TaskSpecPlacement`."""

    constraints: list[str] | None = field(default=None, name="Constraints")
    preferences: list[TaskSpecPlacementPreferencesItem] | None = field(
        default=None, name="Preferences"
    )
    max_replicas: int | None = field(default=None, name="MaxReplicas")
    platforms: list[Platform] | None = field(default=None, name="Platforms")


class NetworkAttachmentConfig(Document):
    """Engine API object `NetworkAttachmentConfig`."""

    target: str | None = field(default=None, name="Target")
    aliases: list[str] | None = field(default=None, name="Aliases")
    driver_opts: dict[str, str] | None = field(default=None, name="DriverOpts")


class TaskSpecLogDriver(Document):
    """Engine API object `TaskSpecLogDriver`."""

    name: str | None = field(default=None, name="Name")
    options: dict[str, str] | None = field(default=None, name="Options")


class TaskSpec(Document):
    """Engine API object `TaskSpec`."""

    plugin_spec: TaskSpecPluginSpec | None = field(default=None, name="PluginSpec")
    container_spec: TaskSpecContainerSpec | None = field(default=None, name="ContainerSpec")
    network_attachment_spec: TaskSpecNetworkAttachmentSpec | None = field(
        default=None, name="NetworkAttachmentSpec"
    )
    resources: TaskSpecResources | None = field(default=None, name="Resources")
    restart_policy: TaskSpecRestartPolicy | None = field(default=None, name="RestartPolicy")
    placement: TaskSpecPlacement | None = field(default=None, name="Placement")
    force_update: int | None = field(default=None, name="ForceUpdate")
    runtime: str | None = field(default=None, name="Runtime")
    networks: list[NetworkAttachmentConfig] | None = field(default=None, name="Networks")
    log_driver: TaskSpecLogDriver | None = field(default=None, name="LogDriver")


class ContainerStatus(Document):
    """Engine API object `ContainerStatus`."""

    container_id: str | None = field(default=None, name="ContainerID")
    pid: int | None = field(default=None, name="PID")
    exit_code: int | None = field(default=None, name="ExitCode")


class EndpointPortConfig(Document):
    """Engine API object `EndpointPortConfig`."""

    name: str | None = field(default=None, name="Name")
    protocol: str | None = field(default=None, name="Protocol")
    target_port: int | None = field(default=None, name="TargetPort")
    published_port: int | None = field(default=None, name="PublishedPort")
    publish_mode: str | None = field(default=None, name="PublishMode")


class PortStatus(Document):
    """Engine API object `PortStatus`."""

    ports: list[EndpointPortConfig] | None = field(default=None, name="Ports")


class TaskStatus(Document):
    """Engine API object `TaskStatus`."""

    timestamp: str | None = field(default=None, name="Timestamp")
    state: str | None = field(default=None, name="State")
    message: str | None = field(default=None, name="Message")
    err: str | None = field(default=None, name="Err")
    container_status: ContainerStatus | None = field(default=None, name="ContainerStatus")
    port_status: PortStatus | None = field(default=None, name="PortStatus")


class NetworkAttachment(Document):
    """Engine API object `NetworkAttachment`."""

    network: Network | None = field(default=None, name="Network")
    addresses: list[str] | None = field(default=None, name="Addresses")


class Task(Document):
    """Engine API object `Task`."""

    id: str | None = field(default=None, name="ID")
    version: ObjectVersion | None = field(default=None, name="Version")
    created_at: str | None = field(default=None, name="CreatedAt")
    updated_at: str | None = field(default=None, name="UpdatedAt")
    name: str | None = field(default=None, name="Name")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    spec: TaskSpec | None = field(default=None, name="Spec")
    service_id: str | None = field(default=None, name="ServiceID")
    slot: int | None = field(default=None, name="Slot")
    node_id: str | None = field(default=None, name="NodeID")
    assigned_generic_resources: list[GenericResourcesItem] | None = field(
        default=None, name="AssignedGenericResources"
    )
    status: TaskStatus | None = field(default=None, name="Status")
    desired_state: str | None = field(default=None, name="DesiredState")
    job_iteration: ObjectVersion | None = field(default=None, name="JobIteration")
    networks_attachments: list[NetworkAttachment] | None = field(
        default=None, name="NetworksAttachments"
    )


class ServiceSpecModeReplicated(Document):
    """Engine API object `ServiceSpecModeReplicated`."""

    replicas: int | None = field(default=None, name="Replicas")


class ServiceSpecModeReplicatedJob(Document):
    """Engine API object `ServiceSpecModeReplicatedJob`."""

    max_concurrent: int | None = field(default=None, name="MaxConcurrent")
    total_completions: int | None = field(default=None, name="TotalCompletions")


class ServiceSpecMode(Document):
    """Engine API object `ServiceSpecMode`."""

    replicated: ServiceSpecModeReplicated | None = field(default=None, name="Replicated")
    global_: dict[str, object] | None = field(default=None, name="Global")
    replicated_job: ServiceSpecModeReplicatedJob | None = field(default=None, name="ReplicatedJob")
    global_job: dict[str, object] | None = field(default=None, name="GlobalJob")


class ServiceSpecUpdateConfig(Document):
    """Engine API object `ServiceSpecUpdateConfig`."""

    parallelism: int | None = field(default=None, name="Parallelism")
    delay: int | None = field(default=None, name="Delay")
    failure_action: str | None = field(default=None, name="FailureAction")
    monitor: int | None = field(default=None, name="Monitor")
    max_failure_ratio: float | None = field(default=None, name="MaxFailureRatio")
    order: str | None = field(default=None, name="Order")


class ServiceSpecRollbackConfig(Document):
    """Engine API object `ServiceSpecRollbackConfig`."""

    parallelism: int | None = field(default=None, name="Parallelism")
    delay: int | None = field(default=None, name="Delay")
    failure_action: str | None = field(default=None, name="FailureAction")
    monitor: int | None = field(default=None, name="Monitor")
    max_failure_ratio: float | None = field(default=None, name="MaxFailureRatio")
    order: str | None = field(default=None, name="Order")


class EndpointSpec(Document):
    """Engine API object `EndpointSpec`."""

    mode: str | None = field(default=None, name="Mode")
    ports: list[EndpointPortConfig] | None = field(default=None, name="Ports")


class ServiceSpec(Document):
    """Engine API object `ServiceSpec`."""

    name: str | None = field(default=None, name="Name")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    task_template: TaskSpec | None = field(default=None, name="TaskTemplate")
    mode: ServiceSpecMode | None = field(default=None, name="Mode")
    update_config: ServiceSpecUpdateConfig | None = field(default=None, name="UpdateConfig")
    rollback_config: ServiceSpecRollbackConfig | None = field(default=None, name="RollbackConfig")
    networks: list[NetworkAttachmentConfig] | None = field(default=None, name="Networks")
    endpoint_spec: EndpointSpec | None = field(default=None, name="EndpointSpec")


class ServiceEndpointVirtualIPsItem(Document):
    """Engine API object `ServiceEndpointVirtualIPsItem`."""

    network_id: str | None = field(default=None, name="NetworkID")
    addr: str | None = field(default=None, name="Addr")


class ServiceEndpoint(Document):
    """Engine API object `ServiceEndpoint`."""

    spec: EndpointSpec | None = field(default=None, name="Spec")
    ports: list[EndpointPortConfig] | None = field(default=None, name="Ports")
    virtual_ips: list[ServiceEndpointVirtualIPsItem] | None = field(default=None, name="VirtualIPs")


class ServiceUpdateStatus(Document):
    """Engine API object `ServiceUpdateStatus`."""

    state: str | None = field(default=None, name="State")
    started_at: str | None = field(default=None, name="StartedAt")
    completed_at: str | None = field(default=None, name="CompletedAt")
    message: str | None = field(default=None, name="Message")


class ServiceServiceStatus(Document):
    """Engine API object `ServiceServiceStatus`."""

    running_tasks: int | None = field(default=None, name="RunningTasks")
    desired_tasks: int | None = field(default=None, name="DesiredTasks")
    completed_tasks: int | None = field(default=None, name="CompletedTasks")


class ServiceJobStatus(Document):
    """Engine API object `ServiceJobStatus`."""

    job_iteration: ObjectVersion | None = field(default=None, name="JobIteration")
    last_execution: str | None = field(default=None, name="LastExecution")


class Service(Document):
    """Engine API object `Service`."""

    id: str | None = field(default=None, name="ID")
    version: ObjectVersion | None = field(default=None, name="Version")
    created_at: str | None = field(default=None, name="CreatedAt")
    updated_at: str | None = field(default=None, name="UpdatedAt")
    spec: ServiceSpec | None = field(default=None, name="Spec")
    endpoint: ServiceEndpoint | None = field(default=None, name="Endpoint")
    update_status: ServiceUpdateStatus | None = field(default=None, name="UpdateStatus")
    service_status: ServiceServiceStatus | None = field(default=None, name="ServiceStatus")
    job_status: ServiceJobStatus | None = field(default=None, name="JobStatus")


class ServiceCreateResponse(Document):
    """Engine API object `ServiceCreateResponse`."""

    id: str | None = field(default=None, name="ID")
    warnings: list[str] | None = field(default=None, name="Warnings")


class ServiceUpdateResponse(Document):
    """Engine API object `ServiceUpdateResponse`."""

    warnings: list[str] | None = field(default=None, name="Warnings")


class Driver(Document):
    """Engine API object `Driver`."""

    name: str | None = field(default=None, name="Name")
    options: dict[str, str] | None = field(default=None, name="Options")


class SecretSpec(Document):
    """Engine API object `SecretSpec`."""

    name: str | None = field(default=None, name="Name")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    data: str | None = field(default=None, name="Data")
    driver: Driver | None = field(default=None, name="Driver")
    templating: Driver | None = field(default=None, name="Templating")


class Secret(Document):
    """Engine API object `Secret`."""

    id: str | None = field(default=None, name="ID")
    version: ObjectVersion | None = field(default=None, name="Version")
    created_at: str | None = field(default=None, name="CreatedAt")
    updated_at: str | None = field(default=None, name="UpdatedAt")
    spec: SecretSpec | None = field(default=None, name="Spec")


class ConfigSpec(Document):
    """Engine API object `ConfigSpec`."""

    name: str | None = field(default=None, name="Name")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    data: str | None = field(default=None, name="Data")
    templating: Driver | None = field(default=None, name="Templating")


class Config(Document):
    """Engine API object `Config`."""

    id: str | None = field(default=None, name="ID")
    version: ObjectVersion | None = field(default=None, name="Version")
    created_at: str | None = field(default=None, name="CreatedAt")
    updated_at: str | None = field(default=None, name="UpdatedAt")
    spec: ConfigSpec | None = field(default=None, name="Spec")
