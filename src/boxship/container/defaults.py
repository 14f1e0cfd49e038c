"""What a container gets that nobody spoke of, as Docker gives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from boxship.errors import InvalidRequest
from boxship.spec.engine.container import (
    ContainerConfig,
    HostConfig,
    HostConfigLogConfig,
    RestartPolicy,
)

SHM_SIZE: Final = 64 << 20
STOP_TIMEOUT: Final = 10
GREATEST: Final = 2**63 - 1
MASKED: Final = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the daemon's configuration says for containers that do not."""

    log_driver: str = "json-file"
    log_options: dict[str, str] = field(default_factory=dict)
    runtime: str = "native"
    runtimes: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    shm_size: int = SHM_SIZE
    ipc_mode: str = "private"
    cgroupns_mode: str = "host"
    cgroup_parent: str = "/boxship"
    init: bool = False
    no_new_privileges: bool = False
    seccomp_profile: str = ""  # JSON; empty is the built-in one, "unconfined" none
    stop_timeout: int = STOP_TIMEOUT
    ulimits: dict[str, tuple[int, int]] = field(default_factory=dict)
    masked: tuple[str, ...] = MASKED


def fill_host_config(host: HostConfig, defaults: Defaults) -> None:
    """Fill in, in place, what was left open."""
    host.network_mode = _network_mode(host.network_mode or "")
    host.ipc_mode = host.ipc_mode or defaults.ipc_mode
    host.pid_mode = host.pid_mode or ""
    host.uts_mode = host.uts_mode or ""
    host.userns_mode = host.userns_mode or ""
    if not host.cgroupns_mode:
        host.cgroupns_mode = "host" if host.privileged else defaults.cgroupns_mode
    _disable_labels(host)
    host.shm_size = host.shm_size or defaults.shm_size
    host.runtime = host.runtime or defaults.runtime
    host.cgroup_parent = host.cgroup_parent or ""
    by_systemd = defaults.cgroup_parent.endswith(".slice")
    if by_systemd and host.cgroup_parent and not host.cgroup_parent.endswith(".slice"):
        raise InvalidRequest(
            'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"'
        )
    if host.restart_policy is None or not host.restart_policy.name:
        host.restart_policy = RestartPolicy(name="no", maximum_retry_count=0)
    log = host.log_config or HostConfigLogConfig()
    driver, options = log.type or defaults.log_driver, dict(log.config or {})
    if driver == defaults.log_driver:
        options = {**defaults.log_options, **options}
    host.log_config = HostConfigLogConfig(type=driver, config=options)
    if (host.memory or 0) > 0 and not host.memory_swap:
        host.memory_swap = min((host.memory or 0) * 2, GREATEST)
    unconfined = host.privileged or "systempaths=unconfined" in (host.security_opt or ())
    if host.masked_paths is None:
        host.masked_paths = [] if unconfined else list(defaults.masked)
    if host.readonly_paths is None:
        host.readonly_paths = [] if unconfined else list(READONLY)
    if host.memory_swappiness == -1:
        host.memory_swappiness = None
    if host.pids_limit is not None and host.pids_limit <= 0:
        host.pids_limit = None


def _disable_labels(host: HostConfig) -> None:
    """Say that who sees the host's processes has no SELinux label, unless one was asked for."""
    asked = host.security_opt or []
    if any(option.startswith("label") for option in asked):
        return
    if host.privileged or host.pid_mode == "host" or host.ipc_mode == "host":
        host.security_opt = [*asked, "label=disable"]


def _network_mode(mode: str) -> str:
    return "bridge" if mode in ("", "default") else mode


def fill_hostname(config: ContainerConfig, host: HostConfig, identifier: str, own: str) -> None:
    """Give the container a name in its network: its short ID, or `own` where that is shared."""
    mode = host.network_mode or ""
    if host.uts_mode == "host" or mode == "host" or mode.startswith("container:"):
        config.hostname = config.hostname or own
    elif not config.hostname:
        config.hostname = identifier[:12]
