"""Whether what is asked of a new container makes sense: words in, a refusal or nothing out."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Final

from boxship.container import devices, signals
from boxship.errors import InvalidRequest, NotSupported
from boxship.kernel import capabilities
from boxship.network import plan
from boxship.network.record import BRIDGE, NONE
from boxship.spec.engine.common import HealthConfig
from boxship.spec.engine.container import (
    ContainerConfig,
    EndpointSettings,
    HostConfig,
    RestartPolicy,
)
from boxship.spec.platform import Platform

MILLISECOND: Final = 1_000_000
LONGEST_HOSTNAME: Final = 63
RESTARTS: Final = ("", "no", "always", "on-failure", "unless-stopped")
PORT: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII | re.IGNORECASE)
HOST_PORT: Final = re.compile(r"\d{1,5}", re.ASCII)
LIMIT_NAMES: Final = frozenset(
    [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
)
IPC_SYSCTLS: Final = frozenset(
    [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ]
)


def check_config(config: ContainerConfig) -> None:
    """Check what concerns the program."""
    if not (config.entrypoint or config.cmd):
        raise InvalidRequest("no command specified")
    for line in config.env or ():
        if not line or line.startswith("=") or "\0" in line:
            raise InvalidRequest(f"invalid environment variable: {line}")
    for word in (*(config.entrypoint or ()), *(config.cmd or ())):
        if "\0" in word:
            raise InvalidRequest("an argument of the command contains a NUL byte")
    if len((config.hostname or "").encode()) > LONGEST_HOSTNAME:
        raise InvalidRequest(
            f'hostname "{config.hostname}" is too long (maximum {LONGEST_HOSTNAME} bytes)'
        )
    if config.stop_signal:
        signals.parse(config.stop_signal)
    for port in config.exposed_ports or ():
        check_port(port)
    if config.healthcheck:
        _healthcheck(config.healthcheck)


def check_port(text: str) -> None:
    """Check `PORT[-PORT][/PROTOCOL]`."""
    found = PORT.fullmatch(text)
    if not found or not 0 < int(found[1]) < 65536:
        raise InvalidRequest(f'invalid port specification: "{text}"')
    if found[2] and not int(found[1]) <= int(found[2]) < 65536:
        raise InvalidRequest(f'invalid port specification: "{text}"')


def _healthcheck(check: HealthConfig) -> None:
    for name, value in (
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ):
        if value and value < MILLISECOND:
            raise InvalidRequest(f"{name} in Healthcheck cannot be less than 1ms")
    if (check.retries or 0) < 0:
        raise InvalidRequest("Retries in Healthcheck cannot be negative")
    if check.test and check.test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidRequest(f"unknown type {check.test[0]!r} in Healthcheck")


def check_host_config(host: HostConfig) -> None:
    """Check what concerns the host's side of it."""
    check_restart(host.restart_policy, auto_remove=bool(host.auto_remove))
    _capabilities(host)
    _modes(host)
    if (host.shm_size or 0) < 0:
        raise InvalidRequest("SHM size can not be less than 0")
    if not -1000 <= (host.oom_score_adj or 0) <= 1000:
        raise InvalidRequest(
            f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]"
        )
    if host.isolation not in (None, "", "default"):
        raise InvalidRequest(f"invalid isolation '{host.isolation}' on linux")
    for request in host.device_requests or ():
        devices.check_request(request)
    size = host.console_size
    if size is not None and (len(size) != 2 or min(size) < 0):
        raise InvalidRequest("ConsoleSize must be a height and a width")
    if "" in (host.annotations or {}):
        raise InvalidRequest(
            "invalid Annotations: the empty string is not permitted as an annotation key"
        )
    if host.storage_opt:
        raise InvalidRequest(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
        )
    _ulimits(host)
    _sysctls(host)
    _ports(host)
    _extra_hosts(host)
    _security(host)


def check_restart(policy: RestartPolicy | None, *, auto_remove: bool) -> None:
    """Check a restart policy."""
    name = (policy.name if policy else None) or ""
    count = (policy.maximum_retry_count if policy else None) or 0
    if name not in RESTARTS:
        raise InvalidRequest(
            f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', "
            "'on-failure', or 'unless-stopped'"
        )
    if count and name != "on-failure":
        raise InvalidRequest(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
            + (" and cannot be negative" if count < 0 else "")
        )
    if count < 0:
        raise InvalidRequest("invalid restart policy: maximum retry count cannot be negative")
    if auto_remove and name not in ("", "no"):
        raise InvalidRequest("can't create 'AutoRemove' container with restart policy")


def capability(text: str) -> str:
    """Return a capability's full name, ALL for all; InvalidRequest for what is none."""
    name = text.upper()
    if name in ("ALL", "CAP_ALL"):
        return "ALL"
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if name not in capabilities.NUMBER:
        raise InvalidRequest(f'unknown capability: "{name}"')
    return name


def _capabilities(host: HostConfig) -> None:
    for what, names in (("CapAdd", host.cap_add), ("CapDrop", host.cap_drop)):
        for name in names or ():
            try:
                capability(name)
            except InvalidRequest as reason:
                raise InvalidRequest(f"invalid {what}: {reason}") from None


def _modes(host: HostConfig) -> None:
    ipc = host.ipc_mode or ""
    if ipc not in ("", "none", "private", "shareable", "host") and not _names_container(ipc):
        raise InvalidRequest(f"invalid IPC mode: {ipc}")
    pid = host.pid_mode or ""
    if pid not in ("", "host") and not _names_container(pid):
        raise InvalidRequest(f"invalid PID mode: {pid}")
    if host.uts_mode not in (None, "", "host"):
        raise InvalidRequest(f"invalid UTS mode: {host.uts_mode}")
    if host.cgroupns_mode not in (None, "", "host", "private"):
        raise InvalidRequest(f"invalid cgroup namespace mode: {host.cgroupns_mode}")
    if host.userns_mode not in (None, "", "host"):
        raise InvalidRequest(f"invalid USER mode: {host.userns_mode}")


def _names_container(mode: str) -> bool:
    return mode.startswith("container:") and len(mode) > len("container:")


def _ulimits(host: HostConfig) -> None:
    for limit in host.ulimits or ():
        if limit.name not in LIMIT_NAMES:
            raise InvalidRequest(f"invalid ulimit type: {limit.name}")
        soft, hard = limit.soft or 0, limit.hard or 0
        if hard != -1 and (soft == -1 or soft > hard):
            raise InvalidRequest(
                f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            )


def _sysctls(host: HostConfig) -> None:
    for name in host.sysctls or ():
        if name in IPC_SYSCTLS or name.startswith("fs.mqueue."):
            if (host.ipc_mode or "") == "host":
                raise InvalidRequest(f"sysctl '{name}' is not allowed in the hosts ipc namespace")
        elif name.startswith("net."):
            if host.network_mode == "host":
                raise InvalidRequest(
                    f"sysctl '{name}' is not allowed in the hosts network namespace"
                )
        elif name not in ("kernel.domainname", "kernel.hostname") or host.uts_mode == "host":
            raise InvalidRequest(f"sysctl '{name}' is not in a separate kernel namespace")


def _ports(host: HostConfig) -> None:
    for port, bindings in (host.port_bindings or {}).items():
        check_port(port)
        if "-" in port:
            raise InvalidRequest(f'invalid port specification: "{port}"')
        for binding in bindings or ():
            wanted = binding.host_port or ""
            if wanted:
                low, dash, high = wanted.partition("-")
                numbers = (low, high) if dash else (low,)
                if not all(HOST_PORT.fullmatch(n) and int(n) < 65536 for n in numbers) or (
                    dash and int(low) > int(high)
                ):
                    raise InvalidRequest(f'invalid port specification: "{wanted}"')
            if binding.host_ip:
                try:
                    ipaddress.ip_address(binding.host_ip.strip("[]"))
                except ValueError:
                    raise InvalidRequest(f'invalid IP address: "{binding.host_ip}"') from None


def _extra_hosts(host: HostConfig) -> None:
    for line in host.extra_hosts or ():
        name, colon, address = line.partition(":")
        if not colon or not name:
            raise InvalidRequest(f'bad format for add-host: "{line}"')
        if address == "host-gateway":
            continue
        try:
            ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            raise InvalidRequest(f'invalid IP address in add-host: "{address}"') from None


def _security(host: HostConfig) -> None:
    for option in host.security_opt or ():
        key, equals, value = option.partition("=")
        if not equals:
            key, colon, value = option.partition(":")
            if not colon and key != "no-new-privileges":
                raise InvalidRequest(f'invalid --security-opt 1: "{option}"')
        match key:
            case "no-new-privileges":
                if value not in ("", "true", "false"):
                    raise InvalidRequest(f'invalid --security-opt 2: "{option}"')
            case "seccomp":
                if value not in ("unconfined", "builtin", "default"):
                    try:
                        json.loads(value)
                    except ValueError as reason:
                        raise InvalidRequest(f"Decoding seccomp profile failed: {reason}") from None
            case "apparmor":
                if value not in ("unconfined", ""):
                    raise NotSupported("AppArmor is not enabled on this host")
            case "label":
                if value != "disable":
                    raise NotSupported("SELinux is not enabled on this host")
            case "systempaths":
                if value != "unconfined":
                    raise InvalidRequest(f'invalid --security-opt 2: "{option}"')
            case "writable-cgroups":
                if value not in ("true", "false"):
                    raise InvalidRequest(f'invalid --security-opt 2: "{option}"')
            case _:
                raise InvalidRequest(f'invalid --security-opt 2: "{option}"')


def check_network(
    config: ContainerConfig, host: HostConfig, endpoints: Mapping[str, EndpointSettings]
) -> None:
    """Check what does not go together with the network mode."""
    mode = host.network_mode or ""
    shares = mode.startswith("container:")
    if mode in ("container", "container:"):
        raise InvalidRequest("Invalid network mode: invalid container format container:<name|id>")
    if (shares or mode == "host") and host.links:
        kind = "container" if shares else "host"
        tail = "type network" if shares else "type networking"
        raise InvalidRequest(
            f"conflicting options: {kind} {tail} can't be used with links. "
            "This would result in undefined behavior"
        )
    for name, settings in endpoints.items():
        plan.check_addresses(settings)
        if plan.network_of(name) == BRIDGE and mode != NONE:
            plan.check_predefined(settings)
    if host.uts_mode == "host" and config.hostname:
        raise InvalidRequest("conflicting options: hostname and the UTS mode")
    if not shares:
        return
    if config.hostname:
        raise InvalidRequest("conflicting options: hostname and the network mode")
    if host.dns:
        raise InvalidRequest("conflicting options: dns and the network mode")
    if host.extra_hosts:
        raise InvalidRequest("conflicting options: custom host-to-IP mapping and the network mode")
    if any(settings.mac_address for settings in endpoints.values()):
        raise InvalidRequest("conflicting options: mac-address and the network mode")
    if host.port_bindings or host.publish_all_ports:
        raise InvalidRequest(
            "conflicting options: port publishing and the container type network mode"
        )
    if config.exposed_ports:
        raise InvalidRequest(
            "conflicting options: port exposing and the container type network mode"
        )


def other_platform(image: Platform, host: Platform) -> list[str]:
    """Return what to warn of when nobody asked for an image of another platform than ours."""
    if image.suitability(host) is not None:
        return []
    return [
        f"The requested image's platform ({image}) does not match the detected host platform "
        f"({host}) and no specific platform was requested"
    ]
