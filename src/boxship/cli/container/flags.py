"""The options of `run` and `create`, most of which are fields of the container's description."""

from __future__ import annotations

from boxship.cli.command import Flag
from boxship.cli.container import devices, mounting, networking
from boxship.cli.options import check_label

STREAMS = ("stdin", "stdout", "stderr")
SYSCTLS = tuple(
    "kernel." + name
    for name in (
        "msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced",
    )
)  # fmt: skip


def check_stream(text: str) -> str:
    if text.lower() not in STREAMS:
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def check_environment(text: str) -> str:
    if not text.partition("=")[0]:
        raise ValueError(f"invalid environment variable: {text}")
    return text


def check_host(text: str) -> str:
    """Check an extra host, `name:ip` or `name=ip`, and return the first form."""
    mark = "=" if "=" in text else ":"
    name, separator, address = text.partition(mark)
    if not separator or not name:
        raise ValueError(f'bad format for add-host: "{text}"')
    if address == "host-gateway":
        return f"{name}:{address}"
    from boxship.cli.kinds import parse_ip

    address = address[1:-1] if address[:1] == "[" and address[-1:] == "]" else address
    try:
        parse_ip(address)
    except ValueError:
        raise ValueError(f'invalid IP address in add-host: "{address}"') from None
    return f"{name}:{address}"


def check_sysctl(text: str) -> str:
    """Check that a kernel parameter belongs to a namespace, so that each may have its own."""
    name, equals, _ = text.partition("=")
    if equals and (name in SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        return text
    raise ValueError(f"sysctl '{text}' is not allowed")


def check_link(text: str) -> str:
    if not text:
        raise ValueError("empty string specified for links")
    if len(text.split(":")) > 2:
        raise ValueError(f"bad format for links: {text}")
    return text


def _bytes(name: str, short: str, usage: str, kind: str = "bytes") -> Flag:
    return Flag(name, short, usage, kind, 0)


def _text(name: str, usage: str, short: str = "", **more: str) -> Flag:
    return Flag(name, short, usage, "string", "", **more)  # type: ignore[arg-type]


def _hidden(name: str, kind: str, default: object = None, target: str = "") -> Flag:
    return Flag(name, "", "", kind, default, hidden=True, target=target)


COMMON = (
    Flag("add-host", "", "Add a line to the hosts file (name:address)", "list", check=check_host),
    Flag("annotation", "", "Annotation for the OCI runtime", "map", check=check_label),
    Flag("attach", "a", "Attach to STDIN, STDOUT or STDERR", "list", check=check_stream),
    Flag("blkio-weight", "", "Share of block I/O, 10 to 1000, or 0 for none", "uint16", 0),
    Flag(
        "blkio-weight-device",
        "",
        "Share of one device's I/O (path:weight)",
        "devices",
        check=devices.weight_of,
    ),
    Flag("cap-add", "", "Add capabilities", "list"),
    Flag("cap-drop", "", "Drop capabilities", "list"),
    _text("cgroup-parent", "Parent cgroup of the container"),
    _text("cgroupns", "Cgroup namespace: 'host' or 'private'; the engine decides when empty"),
    _text("cidfile", "Write the container's ID to this file"),
    Flag("cpu-period", "", "Length of a period of the CPU limit, in microseconds", "int", 0),
    Flag("cpu-quota", "", "CPU time in each period, in microseconds", "int", 0),
    Flag("cpu-rt-period", "", "Period of real-time scheduling, in microseconds", "int", 0),
    Flag("cpu-rt-runtime", "", "Real-time CPU time in each period, in microseconds", "int", 0),
    Flag("cpu-shares", "c", "Share of CPU time where several want it", "int", 0),
    Flag("cpus", "", "Number of CPUs", "decimal", 0),
    _text("cpuset-cpus", "CPUs that may be used (0-3, 0,1)"),
    _text("cpuset-mems", "Memory nodes that may be used (0-3, 0,1)"),
    Flag("device", "", "Give the container a device of the host", "list"),
    Flag(
        "device-cgroup-rule",
        "",
        "Add a rule to the allowed devices",
        "list",
        check=devices.check_rule,
    ),
    Flag(
        "device-read-bps",
        "",
        "Limit reading from a device, in bytes per second",
        "devices",
        check=devices.rate_in_bytes,
    ),
    Flag(
        "device-read-iops",
        "",
        "Limit reads from a device, per second",
        "devices",
        check=devices.rate_of,
    ),
    Flag(
        "device-write-bps",
        "",
        "Limit writing to a device, in bytes per second",
        "devices",
        check=devices.rate_in_bytes,
    ),
    Flag(
        "device-write-iops",
        "",
        "Limit writes to a device, per second",
        "devices",
        check=devices.rate_of,
    ),
    Flag("dns", "", "DNS servers", "list", check=networking.server_of),
    Flag("dns-option", "", "DNS options", "list"),
    Flag("dns-search", "", "DNS search domains", "list"),
    _text("domainname", "NIS domain name of the container"),
    Flag("entrypoint", "", "Replace the image's entrypoint", "string"),
    Flag("env", "e", "Set environment variables", "list", check=check_environment),
    Flag("env-file", "", "Read environment variables from a file", "list"),
    Flag("expose", "", "Expose a port or a range of ports", "list"),
    Flag("gpus", "", "GPUs to give the container ('all' for all)", "gpus", check=devices.gpus_of),
    Flag("group-add", "", "Join further groups", "list"),
    _text("health-cmd", "Command that tells whether the container is well"),
    Flag("health-interval", "", "Time between two checks", "duration", 0),
    Flag("health-retries", "", "Failures in a row that make it unhealthy", "int", 0),
    Flag("health-start-interval", "", "Time between two checks while starting", "duration", 0),
    Flag("health-start-period", "", "Time to start in which failures do not count", "duration", 0),
    Flag("health-timeout", "", "Longest time that a check may take", "duration", 0),
    Flag("help", "", "Show this help"),
    _text("hostname", "Host name of the container", "h"),
    Flag("init", "", "Run an init that forwards signals and reaps processes", "maybe"),
    Flag("interactive", "i", "Keep STDIN open even if not attached"),
    _text("ip", "IPv4 address"),
    _text("ip6", "IPv6 address"),
    _text("ipc", "IPC namespace"),
    _text("isolation", "Technology that isolates the container"),
    Flag("label", "l", "Set labels", "list", check=check_label),
    Flag("label-file", "", "Read labels from a file", "list"),
    Flag("link", "", "Link to another container", "list", check=check_link),
    Flag("link-local-ip", "", "Link-local addresses", "list"),
    _text("log-driver", "Driver that keeps the output"),
    Flag("log-opt", "", "Options of that driver", "list"),
    _text("mac-address", "MAC address (e.g., 92:d0:c6:0a:29:33)"),
    _bytes("memory", "m", "Limit of memory"),
    _bytes("memory-reservation", "", "Soft limit of memory"),
    _bytes("memory-swap", "", "Limit of memory and swap together; -1 for no limit of swap", "swap"),
    Flag("memory-swappiness", "", "How readily memory is swapped (0 to 100)", "int", -1),
    Flag("mount", "", "Attach a filesystem", "mount", check=mounting.mount_of),
    _text("name", "Name of the container"),
    Flag("network", "", "Connect to a network", "network", check=networking.attachment_of),
    Flag("network-alias", "", "Further name within the network", "list"),
    Flag("no-healthcheck", "", "Take no health check, not the image's either"),
    Flag("oom-kill-disable", "", "Turn the OOM killer off"),
    Flag("oom-score-adj", "", "Preference of the OOM killer (-1000 to 1000)", "int", 0),
    _text("pid", "PID namespace"),
    Flag("pids-limit", "", "Most processes (-1 for no limit)", "int", 0),
    Flag("platform", "", "Platform of the image", "string"),
    Flag("privileged", "", "Give the container all the host's privileges"),
    Flag("publish", "p", "Publish ports to the host", "list"),
    Flag("publish-all", "P", "Publish all exposed ports to free ports of the host"),
    Flag("pull", "", 'When to pull the image ("always", "missing", "never")', "string", "missing"),
    Flag("quiet", "q", "Do not show the progress of a pull"),
    Flag("read-only", "", "Make the root filesystem read-only"),
    Flag("restart", "", "What to do when the container exits", "string", "no"),
    Flag("rm", "", "Remove the container and its anonymous volumes when it exits"),
    _text("runtime", "OCI runtime"),
    Flag("security-opt", "", "Security options", "list"),
    _bytes("shm-size", "", "Size of /dev/shm"),
    _text("stop-signal", "Signal that stops the container"),
    Flag("stop-timeout", "", "Seconds to stop in before it is killed", "int"),
    Flag("storage-opt", "", "Options of the storage driver", "list"),
    Flag("sysctl", "", "Kernel parameters", "map", check=check_sysctl),
    Flag("tmpfs", "", "Mount a tmpfs", "list"),
    Flag("tty", "t", "Allocate a terminal"),
    Flag("ulimit", "", "Resource limits", "ulimit", check=devices.ulimit_of),
    Flag("use-api-socket", "", "Give the container the engine's socket and credentials"),
    _text("user", "Name or ID of the user (<name|uid>[:<group|gid>])", "u"),
    _text("userns", "User namespace"),
    _text("uts", "UTS namespace"),
    Flag("volume", "v", "Mount a volume or a path of the host", "list"),
    _text("volume-driver", "Driver of the volumes"),
    Flag("volumes-from", "", "Mount the volumes of other containers", "list"),
    _text("workdir", "Working directory", "w"),
    _hidden("cpu-count", "int", 0),
    _hidden("cpu-percent", "int", 0),
    _hidden("disable-content-trust", "bool", True),
    _hidden("dns-opt", "list", target="dns_option"),
    _hidden("io-maxbandwidth", "bytes", 0),
    _hidden("io-maxiops", "uint", 0),
    _hidden("kernel-memory", "bytes", 0),
    Flag(
        "net",
        "",
        "",
        "network",
        hidden=True,
        target="network",
        check=networking.attachment_of,
    ),
    _hidden("net-alias", "list", target="network_alias"),
)
