"""Containers as the Engine API shows them.

Documents are kept, as bytes, with the container until its record changes, so that a question that
is asked often costs little. Whatever is not set is shown as Go's zero values, as clients expect.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from boxship.api.version import ApiVersion
from boxship.container import output
from boxship.container.containers import Containers
from boxship.container.execs import Exec
from boxship.container.lifecycle import State
from boxship.container.record import NEVER, Container, MountPoint, Run
from boxship.container.registry import Cell
from boxship.errors import NotFound
from boxship.lib import duration, moments
from boxship.spec.engine.container import EndpointSettings

SECOND: Final = 1_000_000_000
LEGACY_NETWORK_BELOW: Final = ApiVersion(1, 52)
HEALTH_SINCE: Final = ApiVersion(1, 52)
MANIFEST_SINCE: Final = ApiVersion(1, 48)
ANNOTATIONS_SINCE: Final = ApiVersion(1, 46)
DNS_NAMES_SINCE: Final = ApiVersion(1, 44)
PRIORITY_SINCE: Final = ApiVersion(1, 48)
CONFIG_MAC_FROM, CONFIG_MAC_BELOW = ApiVersion(1, 44), ApiVersion(1, 52)

CONFIG: Final[Mapping[str, Any]] = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False,
    "AttachStderr": False, "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": None,
    "Cmd": None, "Image": "", "Volumes": None, "WorkingDir": "", "Entrypoint": None,
    "OnBuild": None, "Labels": {},
}  # fmt: skip
HOST_CONFIG: Final[Mapping[str, Any]] = {
    "Binds": None, "ContainerIDFile": "", "LogConfig": {}, "NetworkMode": "", "PortBindings": None,
    "RestartPolicy": {}, "AutoRemove": False, "VolumeDriver": "", "VolumesFrom": None,
    "ConsoleSize": [0, 0], "CapAdd": None, "CapDrop": None, "CgroupnsMode": "", "Dns": None,
    "DnsOptions": None, "DnsSearch": None, "ExtraHosts": None, "GroupAdd": None, "IpcMode": "",
    "Cgroup": "", "Links": None, "OomScoreAdj": 0, "PidMode": "", "Privileged": False,
    "PublishAllPorts": False, "ReadonlyRootfs": False, "SecurityOpt": None, "UTSMode": "",
    "UsernsMode": "", "ShmSize": 0, "Runtime": "", "Isolation": "", "CpuShares": 0, "Memory": 0,
    "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": None,
    "BlkioDeviceReadBps": None, "BlkioDeviceWriteBps": None, "BlkioDeviceReadIOps": None,
    "BlkioDeviceWriteIOps": None, "CpuPeriod": 0, "CpuQuota": 0, "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": None,
    "DeviceCgroupRules": None, "DeviceRequests": None, "MemoryReservation": 0, "MemorySwap": 0,
    "MemorySwappiness": None, "OomKillDisable": None, "PidsLimit": None, "Ulimits": None,
    "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0,
    "MaskedPaths": [], "ReadonlyPaths": [],
}  # fmt: skip
ENDPOINT: Final[Mapping[str, Any]] = {
    "IPAMConfig": None, "Links": None, "Aliases": None, "MacAddress": "", "DriverOpts": None,
    "GwPriority": 0, "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "",
    "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
    "DNSNames": None,
}  # fmt: skip
LEGACY: Final = (
    "EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress",
    "IPPrefixLen", "IPv6Gateway", "MacAddress",
)  # fmt: skip
MANIFEST_KEY: Final = "ImageManifestDescriptor"


# ---- inspect


def inspected(containers: Containers, cell: Cell, execs: list[str], version: ApiVersion) -> bytes:
    """Return all that is told of one container, as JSON."""
    key = f"inspect {version}"
    if not execs and (kept := cell.shown.get(key)):
        return kept
    body = msgspec.json.encode(inspected_document(containers, cell, execs, version))
    if not execs:
        cell.shown[key] = body
    return body


def inspected_document(
    containers: Containers, cell: Cell, execs: list[str], version: ApiVersion
) -> dict[str, Any]:
    """Return the same as an object."""
    record = cell.record
    folder = containers.folder(record.id)
    path, *args = record.command or [""]
    shown: dict[str, Any] = {
        "Id": record.id,
        "Created": moments.show(record.created),
        "Path": path,
        "Args": args,
        "State": state(record),
        "Image": record.image,
        "ResolvConfPath": f"{folder}/resolv.conf",
        "HostnamePath": f"{folder}/hostname",
        "HostsPath": f"{folder}/hosts",
        "LogPath": output.path(record, folder),
        "Name": f"/{record.name}",
        "RestartCount": record.restart_count,
        "Driver": record.driver,
        "Platform": record.platform,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": execs or None,
        "HostConfig": host_config(record),
        "GraphDriver": {
            "Name": record.driver,
            "Data": folders(containers, record),
        },
        "Mounts": mounts(record.mounts),
        "Config": config(record, version),
        "NetworkSettings": network_settings(record, version),
    }
    if version >= MANIFEST_SINCE and record.manifest:
        shown[MANIFEST_KEY] = msgspec.Raw(record.manifest)
    return shown


def folders(containers: Containers, record: Container) -> dict[str, str] | None:
    """Return where the root is; a container that is going may have none any more."""
    try:
        return containers.snapshots.mount_info(record.id)
    except NotFound:
        if record.state in (State.REMOVING, State.DEAD):
            return None
        raise


def state(record: Container) -> dict[str, Any]:
    """Return the state, with the truth values that follow from it."""
    run, now = record.run, record.state
    shown: dict[str, Any] = {
        "Status": now.value,
        "Running": now.has_process or now is State.RESTARTING,
        "Paused": now is State.PAUSED,
        "Restarting": now is State.RESTARTING,
        "OOMKilled": run.oom_killed,
        "Dead": now is State.DEAD,
        "Pid": run.pid,
        "ExitCode": run.exit_code,
        "Error": run.error,
        "StartedAt": _moment(run.started_at),
        "FinishedAt": _moment(run.finished_at),
    }
    if record.health is not None:
        shown["Health"] = {
            "Status": record.health.status or "",
            "FailingStreak": record.health.failing_streak or 0,
            "Log": [msgspec.to_builtins(entry) for entry in record.health.log or ()],
        }
    return shown


def _moment(nanoseconds: int) -> str:
    return moments.show(nanoseconds) if nanoseconds else NEVER


def config(record: Container, version: ApiVersion) -> dict[str, Any]:
    """Return the config with every member that Docker shows."""
    shown = {**CONFIG, **msgspec.to_builtins(record.config)}
    if version < CONFIG_MAC_FROM or version >= CONFIG_MAC_BELOW:
        return shown
    main = record.endpoints.get(record.host_config.network_mode or "")
    if main is not None and main.mac_address:
        shown["MacAddress"] = main.mac_address
    return shown


def host_config(record: Container) -> dict[str, Any]:
    """Return the HostConfig with every member that Docker shows."""
    shown = {**HOST_CONFIG, **msgspec.to_builtins(record.host_config)}
    policy = record.host_config.restart_policy
    shown["RestartPolicy"] = {
        "Name": (policy.name if policy else None) or "no",
        "MaximumRetryCount": (policy.maximum_retry_count if policy else None) or 0,
    }
    if (published := record.host_config.port_bindings) is not None:
        shown["PortBindings"] = {
            port: [{"HostIp": one.host_ip or "", "HostPort": one.host_port or ""} for one in hosts]
            if hosts is not None
            else None
            for port, hosts in published.items()
        }
    return shown


def mounts(points: Iterable[MountPoint]) -> list[dict[str, Any]]:
    """Return the mounts that are listed."""
    found = []
    for point in points:
        if not point.shown:
            continue
        shown: dict[str, Any] = {"Type": point.type}
        if point.type in ("volume", "image"):
            shown["Name"] = point.name
        shown |= {"Source": point.source, "Destination": point.destination}
        if point.type == "volume":
            shown["Driver"] = point.driver
        shown |= {"Mode": point.mode, "RW": point.rw, "Propagation": point.propagation}
        found.append(shown)
    return found


def endpoint(settings: EndpointSettings, version: ApiVersion) -> dict[str, Any]:
    """Return an endpoint as every version knows it."""
    shown = {**ENDPOINT, **msgspec.to_builtins(settings)}
    if version < DNS_NAMES_SINCE:
        del shown["DNSNames"]
    if version < PRIORITY_SINCE:
        del shown["GwPriority"]
    return shown


def endpoints(record: Container, version: ApiVersion) -> dict[str, Any]:
    """Return the endpoints that are, or that will be at the next start."""
    found = {**record.endpoints, **record.network.endpoints}
    return {name: endpoint(settings, version) for name, settings in found.items()}


def network_settings(record: Container, version: ApiVersion) -> dict[str, Any]:
    """Return the network side; older clients find the default bridge's at the top as well."""
    network = record.network
    shown: dict[str, Any] = {
        "SandboxID": network.sandbox_id,
        "SandboxKey": network.sandbox_key,
        "Ports": ports(network.ports),
        "Networks": endpoints(record, version),
    }
    if version < LEGACY_NETWORK_BELOW:
        bridge = shown["Networks"].get("bridge", ENDPOINT)
        shown |= {key: bridge[key] for key in LEGACY}
        shown |= {
            "Bridge": "",
            "HairpinMode": False,
            "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0,
            "SecondaryIPAddresses": None,
            "SecondaryIPv6Addresses": None,
        }
    return shown


def ports(published: Mapping[str, Any]) -> dict[str, Any]:
    """Return published ports by container port; null where a port is only exposed."""
    return {
        port: [{"HostIp": one.host_ip or "", "HostPort": one.host_port or ""} for one in hosts]
        if hosts
        else None
        for port, hosts in published.items()
    }


# ---- list


def listed(
    cells: Iterable[Cell],
    version: ApiVersion,
    renamed: frozenset[str] = frozenset(),
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> bytes:
    """Return a list of containers as JSON; what is `renamed` is shown with its image's ID."""
    now = time.time_ns()
    entries = (_summary(cell, version, now, cell.id in renamed, sizes) for cell in cells)
    return b"[" + b",".join(entries) + b"]\n"


def _summary(
    cell: Cell,
    version: ApiVersion,
    now: int,
    renamed: bool,
    sizes: Mapping[str, tuple[int, int]] | None,
) -> bytes:
    """Return one entry: what changes with the clock is put to what is kept."""
    key = f"summary {version} {renamed}"
    kept = cell.shown.get(key)
    if kept is None:
        shown = summary(cell.record, version, renamed=renamed)
        kept = cell.shown[key] = msgspec.json.encode(shown)[:-1]
    size = b""
    if sizes is not None:
        writable, root = sizes.get(cell.id, (0, 0))
        size = b',"SizeRw":%d,"SizeRootFs":%d' % (writable, root)
    return b'%b%b,"Status":"%b"}' % (kept, size, status(cell.record, now).encode())


def summary(record: Container, version: ApiVersion, *, renamed: bool = False) -> dict[str, Any]:
    """Return what a list shows of a container, without the status."""
    host: dict[str, Any] = {"NetworkMode": record.host_config.network_mode or ""}
    if version >= ANNOTATIONS_SINCE and record.host_config.annotations:
        host["Annotations"] = record.host_config.annotations
    shown: dict[str, Any] = {
        "Id": record.id,
        "Names": [f"/{record.name}"],
        "Image": record.image if renamed else record.config.image or record.image,
        "ImageID": record.image,
        "Command": command_line(record.command),
        "Created": record.created // SECOND,
        "Ports": list(_ports(record)),
        "Labels": record.config.labels or {},
        "State": record.state.value,
        "HostConfig": host,
        "NetworkSettings": {"Networks": endpoints(record, version)},
        "Mounts": mounts(record.mounts),
    }
    if version >= MANIFEST_SINCE and record.manifest:
        shown[MANIFEST_KEY] = msgspec.Raw(record.manifest)
    if version >= HEALTH_SINCE:
        health = record.health
        shown["Health"] = {
            "Status": (health.status if health else None) or "none",
            "FailingStreak": (health.failing_streak if health else None) or 0,
        }
    return shown


def command_line(words: list[str]) -> str:
    """Return a command in one line: what holds a space stands in quotes."""
    first, *rest = words or [""]
    return " ".join([first, *(f"'{word}'" if " " in word else word for word in rest)])


def _ports(record: Container) -> Iterable[dict[str, Any]]:
    for port, hosts in record.network.ports.items():
        number, _, protocol = port.partition("/")
        shown = {"PrivatePort": int(number), "Type": protocol or "tcp"}
        if not hosts:
            yield shown
        for host in hosts or ():
            yield {
                "IP": host.host_ip or "",
                "PrivatePort": int(number),
                "PublicPort": int(host.host_port or 0),
                "Type": protocol or "tcp",
            }


def status(record: Container, now: int) -> str:
    """Return a container's state as a sentence for people."""
    run = record.run
    match record.state:
        case State.RUNNING | State.PAUSED:
            said = f"Up {_ago(now, run.started_at)}"
            if record.state is State.PAUSED:
                return f"{said} (Paused)"
            if record.health and record.health.status not in (None, "", "none"):
                word = record.health.status
                return f"{said} ({'health: starting' if word == 'starting' else word})"
            return said
        case State.RESTARTING:
            return f"Restarting ({run.exit_code}) {_ago(now, run.finished_at)} ago"
        case State.CREATED:
            return "Created"
        case State.REMOVING:
            return "Removal In Progress"
        case State.DEAD:
            return "Dead"
        case State.EXITED:
            return _exited(run, now)


def _exited(run: Run, now: int) -> str:
    if not run.finished_at:
        return f"Exited ({run.exit_code})"
    return f"Exited ({run.exit_code}) {_ago(now, run.finished_at)} ago"


def _ago(now: int, then: int) -> str:
    return duration.human(max(0, now - then) / SECOND)


# ---- execs


def exec_document(run: Exec) -> dict[str, Any]:
    """Return what is told of an exec."""
    config = run.config
    return {
        "ID": run.id,
        "Running": run.running,
        "ExitCode": run.exit_code,
        "ProcessConfig": {
            "tty": config.tty,
            "entrypoint": config.command[0],
            "arguments": list(config.command[1:]),
            "privileged": config.privileged,
            **({"user": config.user} if config.user else {}),
        },
        "OpenStdin": config.stdin,
        "OpenStderr": config.stderr,
        "OpenStdout": config.stdout,
        "CanRemove": False,
        "ContainerID": run.container,
        "DetachKeys": config.shown_keys,
        "Pid": run.pid,
    }
