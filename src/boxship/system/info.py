"""`version` and `info`: what this engine is, and what it has."""

from __future__ import annotations

import os
import platform
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

from boxship.events.journal import Journal
from boxship.lib import atomicfile, moments
from boxship.runtime.cdi import Devices
from boxship.runtime.cgroups.features import Features, warnings
from boxship.spec.engine import system as engine
from boxship.spec.engine.common import DeviceInfo
from boxship.spec.engine.swarm import SwarmInfo
from boxship.spec.platform import Platform
from boxship.spec.product import NAME, VERSION
from boxship.system import host
from boxship.system.needs import Containers, Drivers, Images

INDEX: Final = "https://index.docker.io/v1/"
LOG_DRIVERS: Final = ("json-file", "local", "none")
NATIVE: Final = "native"


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change while the daemon runs."""

    id: str
    name: str
    operating_system: str
    os_version: str
    kernel: str
    machine: str
    architecture: str  # as platforms are written
    processors: int
    memory: int
    features: Features
    cgroup_version: int
    filesystem: str  # that the data root lies on

    @classmethod
    def of_host(cls, data_root: str, features: Features, cgroup_version: int) -> Self:
        """Look at the machine."""
        system, os_version = host.operating_system()
        return cls(
            id=_identity(data_root),
            name=host.name(),
            operating_system=system,
            os_version=os_version,
            kernel=os.uname().release,
            machine=host.architecture(),
            architecture=Platform.of_machine(host.architecture()).architecture,
            processors=len(os.sched_getaffinity(0)),
            memory=host.memory(),
            features=features,
            cgroup_version=cgroup_version,
            filesystem=host.filesystem(data_root),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the daemon was told; replaced as a whole when it is told anew."""

    data_root: str = ""
    debug: bool = False
    experimental: bool = False
    labels: Sequence[str] = ()
    log_driver: str = "json-file"
    cdi_folders: Sequence[str] = ()
    cgroup_driver: str = "cgroupfs"
    default_runtime: str = NATIVE
    runtimes: Mapping[str, tuple[str, Sequence[str]]] = field(default_factory=dict)
    pools: Sequence[tuple[str, int]] = ()
    insecure_registries: Sequence[str] = ()
    mirrors: Sequence[str] = ()
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    cgroupns: bool = True
    seccomp_profile: str = ""
    no_new_privileges: bool = False
    firewall: str = "nftables"
    warnings: Sequence[str] = ()
    oldest_api: str = ""


class System:
    """Answers about the whole engine."""

    def __init__(
        self,
        facts: Facts,
        settings: Settings,
        *,
        journal: Journal,
        containers: Containers,
        images: Images,
        networks: Drivers,
        volumes: Drivers | None = None,
    ) -> None:
        self.facts = facts
        self.settings = settings
        self._journal = journal
        self._containers = containers
        self._images = images
        self._networks = networks
        self._volumes = volumes

    def version(self, newest_api: str) -> engine.SystemVersion:
        """Say which program this is."""
        facts, settings = self.facts, self.settings
        built = moments.show(int(os.stat(__file__).st_mtime) * 1_000_000_000)
        details: dict[str, object] = {
            "ApiVersion": newest_api,
            "Arch": facts.architecture,
            "BuildTime": built,
            "Experimental": str(settings.experimental).lower(),
            "GitCommit": "",
            "GoVersion": f"none (Python {platform.python_version()})",
            "KernelVersion": facts.kernel,
            "MinAPIVersion": settings.oldest_api,
            "Os": "linux",
        }
        return engine.SystemVersion(
            platform=engine.SystemVersionPlatform(name=f"{NAME} Engine"),
            components=[
                engine.SystemVersionComponentsItem(name="Engine", version=VERSION, details=details)
            ],
            version=VERSION,
            api_version=newest_api,
            min_api_version=settings.oldest_api,
            git_commit="",
            go_version=f"none (Python {platform.python_version()})",
            os="linux",
            arch=facts.architecture,
            kernel_version=facts.kernel,
            experimental=settings.experimental or None,
            build_time=built,
        )

    def info(self) -> engine.SystemInfo:
        """Say what the engine has and can."""
        facts, settings = self.facts, self.settings
        info = engine.SystemInfo(
            id=facts.id,
            name=facts.name,
            operating_system=facts.operating_system,
            os_version=facts.os_version,
            os_type="linux",
            kernel_version=facts.kernel,
            architecture=facts.machine,
            ncpu=facts.processors,
            mem_total=facts.memory,
            server_version=VERSION,
            docker_root_dir=settings.data_root,
            debug=settings.debug,
            experimental_build=settings.experimental,
            labels=list(settings.labels),
            logging_driver=settings.log_driver,
            system_time=moments.show(time.time_ns()),
            n_fd=host.open_descriptors(),
            n_goroutines=threading.active_count(),
            n_events_listener=self._journal.listeners,
            i_pv4_forwarding=host.reads_true("/proc/sys/net/ipv4/ip_forward"),
            live_restore_enabled=True,
            isolation="",
            product_license="",
            swarm=_no_swarm(),
            generic_resources=None,
            cdi_spec_dirs=list(settings.cdi_folders),
            discovered_devices=_discovered(settings.cdi_folders),
            warnings=self._warnings(),
        )
        self._count(info)
        self._limits(info)
        self._runtimes(info)
        self._surroundings(info)
        return info

    def _count(self, info: engine.SystemInfo) -> None:
        states = Counter(self._containers.states())
        info.containers = states.total()
        info.containers_running = states["running"] + states["restarting"]
        info.containers_paused = states["paused"]
        info.containers_stopped = states.total() - info.containers_running - info.containers_paused
        info.images = self._images.count()

    def _limits(self, info: engine.SystemInfo) -> None:
        features = self.facts.features
        info.cgroup_driver = self.settings.cgroup_driver
        info.cgroup_version = str(self.facts.cgroup_version)
        info.memory_limit = features.memory_limit
        info.swap_limit = features.swap_limit
        info.cpu_cfs_period = features.cpu_period
        info.cpu_cfs_quota = features.cpu_quota
        info.cpu_shares = features.cpu_shares
        info.cpu_set = features.cpuset
        info.pids_limit = features.pids_limit
        info.oom_kill_disable = features.oom_kill_disable

    def _runtimes(self, info: engine.SystemInfo) -> None:
        settings = self.settings
        info.runtimes = {NATIVE: engine.Runtime(path=NATIVE)}
        for name, (path, args) in settings.runtimes.items():
            info.runtimes[name] = engine.Runtime(path=path, runtime_args=list(args) or None)
        info.default_runtime = settings.default_runtime
        info.init_binary = "boxship-init"
        info.containerd_commit = engine.Commit(id="")
        info.runc_commit = engine.Commit(id="")
        info.init_commit = engine.Commit(id="")
        profile = settings.seccomp_profile or "builtin"
        info.security_options = [f"name=seccomp,profile={profile}"]
        if settings.cgroupns:
            info.security_options.append("name=cgroupns")
        if settings.no_new_privileges:
            info.security_options.append("name=no-new-privileges")

    def _surroundings(self, info: engine.SystemInfo) -> None:
        facts, settings = self.facts, self.settings
        info.driver = self._images.driver
        info.driver_status = [["Backing Filesystem", facts.filesystem]]
        volumes = list(self._volumes.driver_names) if self._volumes else []
        info.plugins = engine.PluginsInfo(
            volume=volumes,
            network=list(self._networks.driver_names),
            authorization=[],
            log=sorted(LOG_DRIVERS),
        )
        info.index_server_address = INDEX
        info.registry_config = _registries(settings)
        info.http_proxy = _without_password(settings.http_proxy)
        info.https_proxy = _without_password(settings.https_proxy)
        info.no_proxy = settings.no_proxy
        info.firewall_backend = engine.FirewallInfo(driver=settings.firewall, info=[])
        info.default_address_pools = [
            engine.SystemInfoDefaultAddressPoolsItem(base=base, size=size)
            for base, size in settings.pools
        ] or None

    def _warnings(self) -> list[str]:
        of_networks = getattr(self._networks, "warnings", ())
        return [*self.settings.warnings, *warnings(self.facts.features), *of_networks]


def _discovered(folders: Sequence[str]) -> list[DeviceInfo] | None:
    """Return the devices that the host offers by name."""
    return [DeviceInfo(source="cdi", id=name) for name in Devices(folders).all()] or None


def _no_swarm() -> SwarmInfo:
    return SwarmInfo(
        node_id="",
        node_addr="",
        local_node_state="inactive",
        control_available=False,
        error="",
        remote_managers=None,
    )


def _registries(settings: Settings) -> engine.RegistryServiceConfig:
    indexes = {
        "docker.io": engine.IndexInfo(
            name="docker.io", mirrors=list(settings.mirrors), secure=True, official=True
        )
    }
    ranges = ["::1/128", "127.0.0.0/8"]
    for registry in settings.insecure_registries:
        if "/" in registry:
            ranges.append(registry)
        else:
            indexes[registry] = engine.IndexInfo(
                name=registry, mirrors=[], secure=False, official=False
            )
    return engine.RegistryServiceConfig(
        insecure_registry_cid_rs=ranges, index_configs=indexes, mirrors=list(settings.mirrors)
    )


def _without_password(url: str) -> str:
    """Return a proxy's address with its credentials hidden, as Docker shows it."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    where = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"xxxxx:xxxxx@{where}"))


def _identity(data_root: str) -> str:
    """Return the engine's own ID, made when it first starts."""
    path = os.path.join(data_root, "engine-id")
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        made = str(uuid.uuid4())
        atomicfile.write(path, made.encode())
        return made
