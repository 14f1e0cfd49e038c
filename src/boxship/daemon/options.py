"""Every option of the daemon: its flag, its key in daemon.json, its kind and its default.

An option whose feature this engine does not have yet is known all the same; only a value that asks
for the feature is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Kind(Enum):
    """How a value is written on the command line and in the file."""

    TEXT = "string"
    FLAG = "bool"
    NUMBER = "int"
    SIZE = "bytes"
    LIST = "list"
    MAP = "map"
    NESTED = "mapmap"
    ULIMITS = "ulimit"
    POOLS = "pool-options"
    RUNTIMES = "runtime"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that can be set. Without a `key` it is for the command line only."""

    flag: str
    kind: Kind
    default: object
    help: str
    key: str = ""
    short: str = ""
    reloadable: bool = False
    missing: str = ""  # what a value asks for that this engine does not have

    @property
    def name(self) -> str:
        """The member of `Config` that holds the value."""
        return (self.key or self.flag).replace("-", "_").replace(".", "_")


def _option(
    flag: str,
    kind: Kind,
    help: str,
    default: object = None,
    *,
    key: str | None = None,
    short: str = "",
    reloadable: bool = False,
    missing: str = "",
) -> Option:
    named = flag if key is None else key
    blank = BLANK[kind] if default is None else default
    return Option(flag, kind, blank, help, named, short, reloadable, missing)


BLANK: Final[Mapping[Kind, object]] = {
    Kind.TEXT: "",
    Kind.FLAG: False,
    Kind.NUMBER: 0,
    Kind.SIZE: 0,
    Kind.LIST: (),
    Kind.MAP: {},
    Kind.NESTED: {},
    Kind.ULIMITS: {},
    Kind.POOLS: (),
    Kind.RUNTIMES: {},
    Kind.DOCUMENT: {},
}

T, F, N, S, L, M = Kind.TEXT, Kind.FLAG, Kind.NUMBER, Kind.SIZE, Kind.LIST, Kind.MAP
SECURE_CONFIG: Final = "/etc/boxship"

OPTIONS: Final[Sequence[Option]] = (
    _option("add-runtime", Kind.RUNTIMES, "Register an additional OCI compatible runtime",
            key="runtimes", reloadable=True),
    _option("allow-direct-routing", F, "Allow remote access to published ports by address"),
    _option("authorization-plugin", L, "Authorization plugins to load", key="authorization-plugins",
            reloadable=True, missing="authorization plugins"),
    _option("bip", T, "IPv4 address for the default bridge"),
    _option("bip6", T, "IPv6 address for the default bridge"),
    _option("bridge", T, "Attach containers to a network bridge", short="b"),
    _option("bridge-accept-fwmark", T, "Accept packets with this firewall mark",
            missing="firewall marks on bridges"),
    _option("cdi-spec-dir", L, "CDI specification directories to use", key="cdi-spec-dirs"),
    _option("cgroup-parent", T, "Set parent cgroup for all containers"),
    _option("config-file", T, "Daemon configuration file", f"{SECURE_CONFIG}/daemon.json", key=""),
    _option("containerd", T, "containerd grpc address", missing="a containerd of its own"),
    _option("containerd-namespace", T, "Containerd namespace to use", "moby"),
    _option("containerd-plugins-namespace", T, "Containerd namespace to use for plugins",
            "plugins.moby", key="containerd-plugin-namespace"),
    _option("cpu-rt-period", N, "Limit the CPU real-time period in microseconds",
            missing="real-time CPU limits"),
    _option("cpu-rt-runtime", N, "Limit the CPU real-time runtime in microseconds",
            missing="real-time CPU limits"),
    _option("cri-containerd", F, "start containerd with cri", missing="containerd's CRI"),
    _option("data-root", T, "Root directory of persistent state", "/var/lib/boxship"),
    _option("debug", F, "Enable debug mode", short="D", reloadable=True),
    _option("default-address-pool", Kind.POOLS, "Default address pools for local networks",
            key="default-address-pools"),
    _option("default-cgroupns-mode", T, "Default mode for containers cgroup namespace", "private",
            reloadable=True),
    _option("default-gateway", T, "Default gateway IPv4 address of the default bridge"),
    _option("default-gateway-v6", T, "Default gateway IPv6 address of the default bridge"),
    _option("default-ipc-mode", T, "Default mode for containers ipc", "private", reloadable=True),
    _option("default-network-opt", Kind.NESTED, "Default network options",
            key="default-network-opts"),
    _option("default-runtime", T, "Default OCI runtime for containers", "native", reloadable=True),
    _option("default-shm-size", S, "Default shm size for containers", 64 << 20, reloadable=True),
    _option("default-stop-timeout", N, "Default seconds to wait before a container is killed", 10,
            reloadable=True),
    _option("default-ulimit", Kind.ULIMITS, "Default ulimits for containers",
            key="default-ulimits"),
    _option("dns", L, "DNS server to use"),
    _option("dns-opt", L, "DNS options to use", key="dns-opts"),
    _option("dns-search", L, "DNS search domains to use"),
    _option("exec-opt", L, "Runtime execution options", key="exec-opts"),
    _option("exec-root", T, "Root directory for execution state files", "/run/boxship"),
    _option("experimental", F, "Enable experimental features"),
    _option("feature", M, "Enable feature in the daemon", key="features", reloadable=True),
    _option("firewall-backend", T, "Firewall backend to use", "nftables"),
    _option("fixed-cidr", T, "IPv4 subnet for the default bridge"),
    _option("fixed-cidr-v6", T, "IPv6 subnet for the default bridge"),
    _option("group", T, "Group for the unix socket", "boxship", short="G"),
    _option("help", F, "Print usage", key="", short="h"),
    _option("host", L, "Daemon socket(s) to connect to", key="hosts", short="H"),
    _option("host-gateway-ip", L, "IP addresses that host-gateway resolves to",
            key="host-gateway-ips"),
    _option("http-proxy", T, "HTTP proxy URL to use for outgoing traffic", key="http-proxy"),
    _option("https-proxy", T, "HTTPS proxy URL to use for outgoing traffic", key="https-proxy"),
    _option("icc", F, "Enable inter-container communication for the default bridge", True),
    _option("init", F, "Run an init in the container to forward signals and reap processes"),
    _option("init-path", T, "Path to the docker-init binary", missing="a foreign init"),
    _option("insecure-registry", L, "Enable insecure registry communication",
            key="insecure-registries", reloadable=True),
    _option("insecure-tcp", F, "Serve on TCP without verifying clients; anyone is root"),
    _option("ip", T, "Host IP for port publishing from the default bridge", "0.0.0.0"),
    _option("ip-forward", F, "Enable IP forwarding in system configuration", True),
    _option("ip-forward-no-drop", F, "Do not set the filter-FORWARD policy to DROP"),
    _option("ip-masq", F, "Enable IP masquerading for the default bridge", True),
    _option("ip6tables", F, "Enable addition of IPv6 rules", True),
    _option("iptables", F, "Enable addition of firewall rules", True),
    _option("ipv6", F, "Enable IPv6 networking for the default bridge"),
    _option("label", L, "Set key=value labels to the daemon", key="labels", reloadable=True),
    _option("live-restore", F, "Keep containers running without the daemon; always on here", True,
            reloadable=True),
    _option("log-driver", T, "Default driver for container logs", "json-file"),
    _option("log-format", T, 'Set the logging format ("text"|"json")', "text"),
    _option("log-level", T, "Set the logging level", "info", short="l"),
    _option("log-opt", M, "Default log driver options for containers", key="log-opts"),
    _option("max-concurrent-downloads", N, "Set the max concurrent downloads", 3, reloadable=True),
    _option("max-concurrent-uploads", N, "Set the max concurrent uploads", 5, reloadable=True),
    _option("max-download-attempts", N, "Set the max download attempts for each pull", 5,
            reloadable=True),
    _option("metrics-addr", T, "Address to serve the metrics API on"),
    _option("mtu", N, "Set the MTU of the default bridge network", 1500),
    _option("network-control-plane-mtu", N, "Network Control plane MTU", 1500),
    _option("network-diagnostic-port", N, "TCP port of the network diagnostic server",
            missing="the network diagnostic server"),
    _option("no-new-privileges", F, "Set no-new-privileges by default for new containers"),
    _option("no-proxy", T, "Hosts that are reached without a proxy", key="no-proxy"),
    _option("node-generic-resource", L, "Advertise user-defined resource",
            key="node-generic-resources", missing="swarm"),
    _option("pidfile", T, "Path to use for daemon PID file", "/run/boxship.pid", short="p"),
    _option("raw-logs", F, "Full timestamps without ANSI coloring"),
    _option("", Kind.DOCUMENT, "Mirrors, trust and token servers of registries", key="registries",
            reloadable=True),
    _option("registry-mirror", L, "Preferred registry mirror", key="registry-mirrors",
            reloadable=True),
    _option("rootless", F, "Enable rootless mode", missing="rootless mode"),
    _option("seccomp-profile", T, "Path to seccomp profile", "builtin"),
    _option("selinux-enabled", F, "Enable selinux support", missing="SELinux labels"),
    _option("shutdown-timeout", N, "Set the default shutdown timeout", 15, reloadable=True),
    _option("storage-driver", T, "Storage driver to use", short="s"),
    _option("storage-opt", L, "Storage driver options", key="storage-opts",
            missing="storage options"),
    _option("swarm-default-advertise-addr", T, "Default address for swarm advertised address",
            missing="swarm"),
    _option("tls", F, "Use TLS; implied by --tlsverify"),
    _option("tlscacert", T, "Trust certs signed only by this CA", f"{SECURE_CONFIG}/ca.pem"),
    _option("tlscert", T, "Path to TLS certificate file", f"{SECURE_CONFIG}/cert.pem"),
    _option("tlskey", T, "Path to TLS key file", f"{SECURE_CONFIG}/key.pem"),
    _option("tlsverify", F, "Use TLS and verify the remote"),
    _option("userland-proxy", F, "Use a process for loopback traffic; never needed here"),
    _option("userland-proxy-path", T, "Path to the userland proxy binary",
            missing="a userland proxy"),
    _option("userns-remap", T, "User/Group setting for user namespaces",
            missing="remapped user namespaces"),
    _option("validate", F, "Validate daemon configuration and exit", key=""),
    _option("version", F, "Print version information and quit", key="", short="v"),
    # Keys without a flag
    _option("", Kind.DOCUMENT, "Settings of the builder", key="builder"),
    _option("", T, "Name of the init binary", key="default-init", missing="a foreign init"),
    _option("", T, "Oldest API version to serve", key="min-api-version"),
    _option("", Kind.DOCUMENT, "Node resource interface", key="nri-opts", missing="NRI"),
    _option("", T, "resolv.conf to give to containers", key="resolv-conf",
            missing="another resolv.conf"),
    _option("", N, "Raft election ticks", key="swarm-raft-election-tick", missing="swarm"),
    _option("", N, "Raft heartbeat ticks", key="swarm-raft-heartbeat-tick", missing="swarm"),
)  # fmt: skip

BY_FLAG: Final = {option.flag: option for option in OPTIONS if option.flag}
BY_SHORT: Final = {option.short: option for option in OPTIONS if option.short}
BY_KEY: Final = {option.key: option for option in OPTIONS if option.key}
FEATURES: Final = frozenset(
    {
        *("buildkit", "cdi", "containerd-snapshotter", "containerd-migration"),
        *("embedded-containerd", "time-namespaces", "swarm-nftables", "windows-dns-proxy"),
    }
)
