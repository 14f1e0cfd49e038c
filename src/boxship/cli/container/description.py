"""What the options of `run` and `create` ask for, as the document the engine takes."""

from __future__ import annotations

from boxship.cli.command import UsageError
from boxship.cli.container import devices, environment, mounting, networking, publishing, security
from boxship.errors import NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Options = dict[str, Any]
    Document = dict[str, Any]


WINDOWS = ("cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops")


def describe(options: Options, words: list[str], variables: Mapping[str, str]) -> Document:
    """Return the body of a create call; ValueError where options contradict each other."""
    image, *command = words
    streams = options["attach"]
    attach_all = not streams
    stdin = "stdin" in streams or (attach_all and options["interactive"])
    exposed, bindings = publishing.ports_of(options["publish"], options["expose"])
    binds, volumes, tmpfs = mounting.volumes_of(options["volume"], options["tmpfs"])
    endpoints, mode = networking.endpoints_of(options)
    config: Document = {
        "Hostname": options["hostname"],
        "Domainname": options["domainname"],
        "User": options["user"],
        "AttachStdin": stdin,
        "AttachStdout": attach_all or "stdout" in streams,
        "AttachStderr": attach_all or "stderr" in streams,
        "Tty": options["tty"],
        "OpenStdin": options["interactive"],
        "StdinOnce": bool(stdin and options["interactive"]),
        "Env": environment.variables_of(options["env_file"], options["env"], variables) or None,
        "Cmd": command or None,
        "Image": image,
        "Volumes": volumes,
        "WorkingDir": options["workdir"],
        "Entrypoint": None if options["entrypoint"] is None else [options["entrypoint"]],
        "OnBuild": None,
        "Labels": environment.labels_of(options["label_file"], options["label"], variables),
    }
    _put(config, "ExposedPorts", exposed)
    _put(config, "StopSignal", options["stop_signal"])
    _put(config, "StopTimeout", options["stop_timeout"])
    _put(config, "Healthcheck", health_check(options))
    host = host_config(options, binds, bindings, mode)
    _put(host, "Tmpfs", tmpfs)
    _put(host, "Mounts", options["mount"])
    if host["AutoRemove"] and host["RestartPolicy"]["Name"] not in ("", "no"):
        raise ValueError("conflicting options: cannot specify both --restart and --rm")
    return {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoints}}


def _put(document: Document, key: str, value: object) -> None:
    """Set a key that is left out when it has nothing to say."""
    if value or (value == 0 and value is not False):
        document[key] = value


def host_config(options: Options, binds: list[str], bindings: Document, mode: str) -> Document:
    """Return the part that is about the host."""
    if not -1 <= options["memory_swappiness"] <= 100:
        value = options["memory_swappiness"]
        raise ValueError(f"invalid value: {value}. Valid memory swappiness range is 0-100")
    _refuse_windows(options)
    plain, masked, readonly = security.options_of(options["security_opt"])
    mapped, requests = devices.devices_of(options["device"])
    requests += options["gpus"]
    host: Document = {
        "Binds": binds or None,
        "ContainerIDFile": options["cidfile"],
        "LogConfig": log_config(options),
        "NetworkMode": mode,
        "PortBindings": bindings,
        "RestartPolicy": restart_policy(options["restart"]),
        "AutoRemove": options["rm"],
        "VolumeDriver": options["volume_driver"],
        "VolumesFrom": options["volumes_from"] or None,
        "ConsoleSize": [0, 0],
        "CapAdd": security.capability_names(options["cap_add"]) or None,
        "CapDrop": security.capability_names(options["cap_drop"]) or None,
        "CgroupnsMode": _mode("--cgroupns", "CGROUP", options["cgroupns"], ("host", "private")),
        "Dns": options["dns"],
        "DnsOptions": options["dns_option"],
        "DnsSearch": options["dns_search"],
        "ExtraHosts": options["add_host"] or None,
        "GroupAdd": options["group_add"] or None,
        "IpcMode": options["ipc"],
        "Cgroup": "",
        "Links": options["link"] or None,
        "OomScoreAdj": options["oom_score_adj"],
        "PidMode": _pid_mode(options["pid"]),
        "Privileged": options["privileged"],
        "PublishAllPorts": options["publish_all"],
        "ReadonlyRootfs": options["read_only"],
        "SecurityOpt": plain if options["security_opt"] else None,
        "UTSMode": _mode("--uts", "UTS", options["uts"], ("host",)),
        "UsernsMode": _mode("--userns", "USER", options["userns"], ("host",)),
        "ShmSize": options["shm_size"],
        "Isolation": options["isolation"],
        **resources(options),
        "Devices": mapped,
        "DeviceCgroupRules": options["device_cgroup_rule"] or None,
        "DeviceRequests": requests or None,
        "MaskedPaths": masked,
        "ReadonlyPaths": readonly,
    }
    _put(host, "Runtime", options["runtime"])
    _put(host, "Sysctls", environment.pairs_of(options["sysctl"]))
    _put(host, "Annotations", environment.pairs_of(options["annotation"]))
    _put(host, "StorageOpt", environment.pairs_of(options["storage_opt"], "storage option"))
    if options["init"] is not None:
        host["Init"] = options["init"]
    return host


def resources(options: Options) -> Document:
    """Return the limits."""
    return {
        "CpuShares": options["cpu_shares"],
        "Memory": options["memory"],
        "NanoCpus": options["cpus"],
        "CgroupParent": options["cgroup_parent"],
        "BlkioWeight": options["blkio_weight"],
        "BlkioWeightDevice": options["blkio_weight_device"],
        "BlkioDeviceReadBps": options["device_read_bps"],
        "BlkioDeviceWriteBps": options["device_write_bps"],
        "BlkioDeviceReadIOps": options["device_read_iops"],
        "BlkioDeviceWriteIOps": options["device_write_iops"],
        "CpuPeriod": options["cpu_period"],
        "CpuQuota": options["cpu_quota"],
        "CpuRealtimePeriod": options["cpu_rt_period"],
        "CpuRealtimeRuntime": options["cpu_rt_runtime"],
        "CpusetCpus": options["cpuset_cpus"],
        "CpusetMems": options["cpuset_mems"],
        "MemoryReservation": options["memory_reservation"],
        "MemorySwap": options["memory_swap"],
        "MemorySwappiness": options["memory_swappiness"],
        "OomKillDisable": options["oom_kill_disable"],
        "PidsLimit": options["pids_limit"],
        "Ulimits": ulimits(options["ulimit"]),
        "CpuCount": options["cpu_count"],
        "CpuPercent": options["cpu_percent"],
        "IOMaximumIOps": options["io_maxiops"],
        "IOMaximumBandwidth": options["io_maxbandwidth"],
    }


def ulimits(given: list[Document]) -> list[Document]:
    """Return the limits by name; of two with one name the later counts."""
    found = {limit["Name"]: limit for limit in given}
    return [found[name] for name in sorted(found)]


def _refuse_windows(options: Options) -> None:
    given = [flag for flag in WINDOWS if options[flag.replace("-", "_")]]
    if given:
        raise NotSupported(
            "\n".join(
                f'"--{flag}" is only supported on a Docker daemon running on windows, '
                "but the Docker daemon is running on linux"
                for flag in given
            )
        )


def _mode(flag: str, word: str, value: str, allowed: tuple[str, ...]) -> str:
    if value and value not in allowed:
        raise ValueError(f"{flag}: invalid {word} mode")
    return value


def _pid_mode(value: str) -> str:
    kind, _, name = value.partition(":")
    if value in ("", "host") or (kind == "container" and name):
        return value
    raise ValueError("--pid: invalid PID mode")


def log_config(options: Options) -> Document:
    driver: str = options["log_driver"]
    pairs = environment.pairs_of(options["log_opt"])
    if driver == "none" and pairs:
        raise ValueError("invalid logging opts for driver none")
    return {"Type": driver, "Config": pairs}


def restart_policy(text: str) -> Document:
    """Read `no`, `always`, `unless-stopped` or `on-failure[:count]`."""
    name, colon, count = text.partition(":")
    if text and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    retries = 0
    if colon:
        if not count.lstrip("-").isdecimal():
            raise ValueError(
                "invalid restart policy format: maximum retry count must be an integer"
            )
        retries = int(count)
    return {"Name": name, "MaximumRetryCount": retries}


def health_check(options: Options) -> Document | None:
    """Return the health check, None when the image's own is to be kept."""
    keys = {
        "Interval": "health_interval",
        "Timeout": "health_timeout",
        "StartPeriod": "health_start_period",
        "StartInterval": "health_start_interval",
        "Retries": "health_retries",
    }
    given = {key: options[name] for key, name in keys.items() if options[name]}
    command: str = options["health_cmd"]
    if options["no_healthcheck"]:
        if given or command:
            raise ValueError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    for key, value in given.items():
        if value < 0:
            flag = "--" + keys[key].replace("_", "-")
            raise ValueError(f"{flag} cannot be negative")
    if not given and not command:
        return None
    return {**({"Test": ["CMD-SHELL", command]} if command else {}), **given}


def build(options: Options, words: list[str], variables: Mapping[str, str], tail: str) -> Document:
    """Like `describe`; what is wrong ends the command with exit code 125."""
    try:
        return describe(options, words, variables)
    except (ValueError, OSError) as error:
        raise UsageError(f"boxship: {error}{tail}", status=125) from error
