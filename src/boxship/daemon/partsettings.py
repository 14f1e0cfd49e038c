"""What the parts of the engine take from its configuration, each in its own terms."""

from __future__ import annotations

from typing import Final

from boxship.container.defaults import MASKED, Defaults
from boxship.daemon.config import BadConfiguration, Config
from boxship.network.config import DEFAULT_BRIDGE, DEFAULT_POOLS, NetworkConfig, Pool
from boxship.runtime.cdi import FOLDERS
from boxship.runtime.cgroups import scopes
from boxship.system.host import thermal_counters
from boxship.system.info import Settings

PARENTS: Final = {"cgroupfs": "/boxship", "systemd": "system.slice"}
FOREIGN_RUNTIME: Final = "runc"


def check_cgroup_driver(config: Config, version: int) -> None:
    """Refuse a driver that this machine cannot have."""
    if config.cgroup_driver != "systemd":
        return
    if not scopes.is_booted():
        raise BadConfiguration(
            "systemd cgroup driver: systemd has not started this machine; "
            "use native.cgroupdriver=cgroupfs"
        )
    if version != 2:
        raise BadConfiguration("systemd cgroup driver: this machine has cgroup v1, it needs v2")
    parent = config.text("cgroup_parent")
    if parent and not parent.endswith(".slice"):
        raise BadConfiguration(
            'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"'
        )


def network_config(config: Config) -> NetworkConfig:
    """Return what the configuration says about networks."""
    text, flag = config.text, config.flag
    pools = tuple(Pool(pool.base, pool.size) for pool in config.pools)
    return NetworkConfig(
        bridge=text("bridge") or DEFAULT_BRIDGE,
        bip=text("bip"),
        bip6=text("bip6"),
        fixed_cidr=text("fixed_cidr"),
        fixed_cidr_v6=text("fixed_cidr_v6"),
        default_gateway=text("default_gateway"),
        default_gateway_v6=text("default_gateway_v6"),
        ipv6=flag("ipv6"),
        mtu=config.number("mtu") or 1500,
        icc=flag("icc"),
        ip_masq=flag("ip_masq"),
        ip_forward=flag("ip_forward"),
        iptables=flag("iptables"),
        ip6tables=flag("ip6tables"),
        allow_direct_routing=flag("allow_direct_routing"),
        ip=text("ip"),
        dns=config.list("dns"),
        dns_search=config.list("dns_search"),
        dns_options=config.list("dns_opts"),
        host_gateway_ips=config.list("host_gateway_ips"),
        default_address_pools=pools or DEFAULT_POOLS,
        default_network_opts=config.values["default_network_opts"],
    )


def container_defaults(config: Config) -> Defaults:
    """Return what the configuration says for containers that do not."""
    profile = config.text("seccomp_profile")
    if profile not in ("", "builtin", "unconfined"):
        with open(profile, encoding="utf-8") as file:
            profile = file.read(1 << 20)
    return Defaults(
        log_driver=config.text("log_driver"),
        log_options=dict(config.map("log_opts")),
        runtime=config.text("default_runtime"),
        runtimes=_runtimes(config),
        shm_size=config.number("default_shm_size"),
        ipc_mode=config.text("default_ipc_mode"),
        cgroupns_mode=config.text("default_cgroupns_mode"),
        cgroup_parent=config.text("cgroup_parent") or PARENTS[config.cgroup_driver],
        init=config.flag("init"),
        no_new_privileges=config.flag("no_new_privileges"),
        seccomp_profile="" if profile == "builtin" else profile,
        stop_timeout=config.number("default_stop_timeout"),
        ulimits={name: (one.soft, one.hard) for name, one in config.default_ulimits.items()},
        masked=(*MASKED, *thermal_counters()),
    )


def cdi_folders(config: Config) -> tuple[str, ...]:
    """Return where the host's devices are described; nowhere when that is turned off."""
    if config.map("features").get("cdi") == "false":
        return ()
    return config.list("cdi_spec_dirs") or FOLDERS


def settings(config: Config) -> Settings:
    """Return what the configuration contributes to `info`."""
    return Settings(
        data_root=config.data_root,
        debug=config.flag("debug"),
        experimental=config.flag("experimental"),
        labels=config.labels,
        log_driver=config.text("log_driver"),
        cdi_folders=cdi_folders(config),
        cgroup_driver=config.cgroup_driver,
        default_runtime=config.text("default_runtime"),
        runtimes=_runtimes(config),
        pools=[(pool.base, pool.size) for pool in config.pools],
        insecure_registries=config.list("insecure_registries"),
        mirrors=config.list("registry_mirrors"),
        http_proxy=config.text("http_proxy"),
        https_proxy=config.text("https_proxy"),
        no_proxy=config.text("no_proxy"),
        cgroupns=config.text("default_cgroupns_mode") == "private",
        seccomp_profile=config.text("seccomp_profile"),
        no_new_privileges=config.flag("no_new_privileges"),
        firewall=config.text("firewall_backend"),
        warnings=[
            f"WARNING: API is accessible on {host} without encryption or verification of clients"
            for host in config.hosts
            if host.startswith("tcp://") and not config.flag("tlsverify")
        ],
        oldest_api=str(config.oldest_version),
    )


def _runtimes(config: Config) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the programs of foreign runtimes with their arguments, by name."""
    found = {name: (one.path, one.args) for name, one in config.runtimes.items()}
    return {FOREIGN_RUNTIME: (FOREIGN_RUNTIME, ()), **found}
