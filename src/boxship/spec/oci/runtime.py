"""OCI runtime-spec 1.2: `config.json` and the state document, the parts that concern Linux."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

VERSION: Final = "1.2.0"


class Member(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A JSON object of the runtime specification; unknown members are ignored."""


class User(Member):
    uid: int
    gid: int
    umask: int | None = None
    additional_gids: list[int] = []
    username: str = ""


class ConsoleSize(Member):
    height: int
    width: int


class Capabilities(Member):
    bounding: list[str] = []
    effective: list[str] = []
    inheritable: list[str] = []
    permitted: list[str] = []
    ambient: list[str] = []


class Rlimit(Member):
    type: str
    soft: int
    hard: int


class Process(Member, kw_only=True):
    terminal: bool = False
    console_size: ConsoleSize | None = None
    user: User = field(default_factory=lambda: User(uid=0, gid=0))
    args: list[str] = []
    command_line: str = ""
    env: list[str] = []
    cwd: str
    capabilities: Capabilities | None = None
    rlimits: list[Rlimit] = []
    no_new_privileges: bool = False
    apparmor_profile: str = ""
    oom_score_adj: int | None = None
    selinux_label: str = ""


class Root(Member):
    path: str
    readonly: bool = False


class IDMapping(Member):
    container_id: int = field(name="containerID")
    host_id: int = field(name="hostID")
    size: int


class Mount(Member):
    destination: str
    source: str = ""
    type: str = ""
    options: list[str] = []
    uid_mappings: list[IDMapping] = []
    gid_mappings: list[IDMapping] = []


class Hook(Member):
    path: str
    args: list[str] = []
    env: list[str] = []
    timeout: int | None = None


class Hooks(Member):
    prestart: list[Hook] = []
    create_runtime: list[Hook] = []
    create_container: list[Hook] = []
    start_container: list[Hook] = []
    poststart: list[Hook] = []
    poststop: list[Hook] = []


class Device(Member):
    type: str
    path: str
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    uid: int | None = None
    gid: int | None = None


class DeviceRule(Member):
    allow: bool
    type: str = ""
    major: int | None = None
    minor: int | None = None
    access: str = ""


class Memory(Member):
    limit: int | None = None
    reservation: int | None = None
    swap: int | None = None
    kernel: int | None = None
    kernel_tcp: int | None = field(default=None, name="kernelTCP")
    swappiness: int | None = None
    disable_oom_killer: bool | None = field(default=None, name="disableOOMKiller")
    use_hierarchy: bool | None = None
    check_before_update: bool | None = None


class CPU(Member):
    shares: int | None = None
    quota: int | None = None
    burst: int | None = None
    period: int | None = None
    realtime_runtime: int | None = None
    realtime_period: int | None = None
    cpus: str = ""
    mems: str = ""
    idle: int | None = None


class Pids(Member):
    limit: int | None = None


class WeightDevice(Member):
    major: int
    minor: int
    weight: int | None = None
    leaf_weight: int | None = None


class ThrottleDevice(Member):
    major: int
    minor: int
    rate: int


class BlockIO(Member):
    weight: int | None = None
    leaf_weight: int | None = None
    weight_device: list[WeightDevice] = []
    throttle_read_bps_device: list[ThrottleDevice] = []
    throttle_write_bps_device: list[ThrottleDevice] = []
    throttle_read_iops_device: list[ThrottleDevice] = field(
        default_factory=list, name="throttleReadIOPSDevice"
    )
    throttle_write_iops_device: list[ThrottleDevice] = field(
        default_factory=list, name="throttleWriteIOPSDevice"
    )


class HugepageLimit(Member):
    page_size: str
    limit: int


class Resources(Member):
    devices: list[DeviceRule] = []
    memory: Memory | None = None
    cpu: CPU | None = None
    pids: Pids | None = None
    block_io: BlockIO | None = field(default=None, name="blockIO")
    hugepage_limits: list[HugepageLimit] = []
    unified: dict[str, str] = {}


class Namespace(Member):
    """`type` is pid, network, mount, ipc, uts, user, cgroup or time; a path joins one."""

    type: str
    path: str = ""


class SyscallArg(Member, kw_only=True):
    index: int
    value: int
    value_two: int = 0
    op: str


class Syscall(Member):
    names: list[str]
    action: str
    errno_ret: int | None = None
    args: list[SyscallArg] = []


class Seccomp(Member, kw_only=True):
    default_action: str
    default_errno_ret: int | None = None
    architectures: list[str] = []
    flags: list[str] = []
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: list[Syscall] = []


class Personality(Member):
    domain: str
    flags: list[str] = []


class Linux(Member):
    uid_mappings: list[IDMapping] = []
    gid_mappings: list[IDMapping] = []
    sysctl: dict[str, str] = {}
    resources: Resources | None = None
    cgroups_path: str = ""
    namespaces: list[Namespace] = []
    devices: list[Device] = []
    seccomp: Seccomp | None = None
    rootfs_propagation: str = ""
    masked_paths: list[str] = []
    readonly_paths: list[str] = []
    mount_label: str = ""
    personality: Personality | None = None


class Spec(Member):
    """`config.json` of a bundle."""

    oci_version: str = VERSION
    process: Process | None = None
    root: Root | None = None
    hostname: str = ""
    domainname: str = ""
    mounts: list[Mount] = []
    hooks: Hooks | None = None
    annotations: dict[str, str] = {}
    linux: Linux | None = None


class State(Member, omit_defaults=False, kw_only=True):
    """What `state` prints and hooks read on standard input."""

    oci_version: str = VERSION
    id: str
    status: str
    pid: int = 0
    bundle: str
    annotations: dict[str, str] = {}
