"""Builds the parts of the engine and gives each what it needs; the only place that knows all."""

from __future__ import annotations

import asyncio
import importlib
import os
import platform
import socket
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, cast

from boxship.api.building import Building, Tools
from boxship.api.buildkit import Doors
from boxship.api.buildkit import Engine as DoorsEngine
from boxship.api.builds import Builds
from boxship.build import traces
from boxship.build.cache.records import Records as BuildRecords
from boxship.container import recovery
from boxship.container.archive import Archives
from boxship.container.background import Background
from boxship.container.bundle import Host as ContainerHost
from boxship.container.commit import Commits
from boxship.container.containers import Containers
from boxship.container.create import Creation
from boxship.container.defaults import Defaults
from boxship.container.execs import Execs
from boxship.container.monitors import Monitors
from boxship.container.probes import Probes
from boxship.container.registry import Cell, Registry
from boxship.container.sampling import Sampler
from boxship.container.shared_roots import SharedRoots
from boxship.container.starting import Starting
from boxship.container.tables import Table as ContainerTable
from boxship.container.trees import Trees
from boxship.content.store import Blobs
from boxship.daemon.buildsettings import builder_document, cache_limits, entitlements
from boxship.daemon.config import Config
from boxship.daemon.joints import Connected, Counted, Keepers, LiveDefaults
from boxship.daemon.partsettings import (
    cdi_folders,
    check_cgroup_driver,
    container_defaults,
    network_config,
    settings,
)
from boxship.daemon.registries import registry_settings
from boxship.distribution.pool import Pool as RegistryPool
from boxship.events.journal import Journal
from boxship.image.bootstrap import Host as BootstrapHost
from boxship.image.images import Images
from boxship.image.pull import Pulls
from boxship.image.push import Pushes
from boxship.image.transfers import Transfers
from boxship.kernel import capabilities
from boxship.lib import moments
from boxship.network.networks import Networks
from boxship.runtime import cgroups
from boxship.runtime.cdi import Devices
from boxship.shim.spawning import Spawner
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.platform import Platform
from boxship.store.database import Database
from boxship.system.check import Check, Known
from boxship.system.host import reads_true
from boxship.system.info import Facts, System
from boxship.system.verify import Verification
from boxship.volume.drivers.local import LocalDriver
from boxship.volume.volumes import Volumes

BUILDER: Final = "boxship.daemon.building"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the engine keeps what; see docs/architecture.md, "Data"."""

    data: str
    run: str

    @property
    def containers(self) -> str:
        return os.path.join(self.data, "containers")

    @property
    def keepers(self) -> str:
        return os.path.join(self.run, "c")

    @property
    def shm(self) -> str:
        return os.path.join(self.run, "shm")

    @property
    def roots(self) -> str:
        return os.path.join(self.run, "roots")

    @property
    def build(self) -> str:
        return os.path.join(self.data, "build")

    @property
    def build_runs(self) -> str:
        return os.path.join(self.run, "b")

    @property
    def work(self) -> str:
        return os.path.join(self.data, "tmp")

    def make(self) -> None:
        """Create what is missing, closed to others."""
        for path, mode in (
            (self.data, 0o711),
            (self.run, 0o711),
            (self.containers, 0o710),
            (self.keepers, 0o700),
            (self.shm, 0o700),
            (self.roots, 0o700),
            (self.work, 0o700),
            (self.build, 0o700),
            (self.build_runs, 0o700),
        ):
            os.makedirs(path, mode, exist_ok=True)
            os.chmod(path, mode)


@dataclass(slots=True)
class Engine:
    """The parts, as far as the daemon and the routes ask for them."""

    journal: Journal
    images: Images
    networks: Networks
    volumes: Volumes
    containers: Containers
    pool: RegistryPool
    pulls: Pulls
    pushes: Pushes
    environment: Mapping[str, str]
    spawner: Spawner
    background: Background
    system: System
    defaults: LiveDefaults
    to_start: list[Cell]
    parts: Mapping[type, object]
    doors: Doors

    def take_settings(self, config: Config) -> None:
        """Let the parts hear of a configuration that has changed."""
        self.system.settings = settings(config)
        self.defaults.current = container_defaults(config)
        self.pool.settings = registry_settings(config, self.environment)
        self.pulls.settings_changed()
        self.pushes.settings_changed()


async def build(
    config: Config, folders: Folders, environment: Mapping[str, str], undo: AsyncExitStack
) -> Engine:
    """Make every part, recover what ran before; `undo` takes it down in the opposite order."""
    folders.make()
    spawner = Spawner(arguments=[os.path.join(folders.run, "filters")])
    undo.push_async_callback(spawner.stop)
    starting_spawner = asyncio.ensure_future(spawner.start())
    database = Database(os.path.join(folders.data, "boxship.db"))
    undo.callback(database.close)
    journal = Journal()
    registry = Registry(ContainerTable(database))
    host = Platform.of_machine(platform.machine())
    snapshots = Snapshots.at(os.path.join(folders.data, "snapshots"), config.text("storage_driver"))
    blobs = Blobs(os.path.join(folders.data, "blobs"))
    records = BuildRecords(database, time.time_ns)
    images = Images(database, blobs, snapshots, host, registry, journal, holders=(records,))
    pool = RegistryPool(registry_settings(config, environment))
    undo.push_async_callback(pool.close)
    pulls = Pulls(images, blobs, snapshots, pool)
    undo.callback(pulls.close)
    pushes = Pushes(images, blobs, pool)
    transfers = Transfers(images, blobs, snapshots)
    undo.callback(transfers.close)
    volumes = Volumes(
        database,
        [LocalDriver(os.path.join(folders.data, "volumes"))],
        publisher=journal,
        users=registry,
        now=_now,
    )
    networks = Networks(
        database,
        network_config(config),
        publisher=journal,
        containers=Connected(registry),
        run_folder=folders.run,
        now=_now,
    )
    undo.callback(networks.close)
    tree = cgroups.detect()
    check_cgroup_driver(config, tree.version)
    background = Background()
    undo.push_async_callback(background.close)
    live = LiveDefaults(container_defaults(config))
    defaults = cast(Defaults, live)  # has all that a Defaults has
    container_host = ContainerHost(
        kernel=_kernel(),
        machine=platform.machine(),
        capabilities=frozenset(capabilities.names(capabilities.of_process()["bounding"])),
        unified_cgroups=tree.version == 2,
        hostname=socket.gethostname(),
    )
    trees = Trees(images, snapshots, volumes, folders.roots)
    roots = SharedRoots(snapshots)
    devices = Devices(cdi_folders(config))
    starting = Starting(
        registry=registry,
        trees=trees,
        roots=roots,
        networks=networks,
        volumes=volumes,
        spawner=spawner,
        offered=devices,
        host=container_host,
        defaults=defaults,
        folder=folders.containers,
        run_folder=folders.keepers,
        shm_folder=folders.shm,
    )
    creation = Creation(
        registry=registry,
        images=images,
        snapshots=snapshots,
        volumes=volumes,
        features=tree.features(),
        host=container_host,
        defaults=defaults,
        folder=folders.containers,
        cpus=os.cpu_count() or 1,
        forwards=lambda: reads_true("/proc/sys/net/ipv4/ip_forward"),
    )
    containers = Containers(
        registry=registry,
        creation=creation,
        starting=starting,
        snapshots=snapshots,
        networks=networks,
        volumes=volumes,
        cgroups=tree,
        publisher=journal,
        background=background,
    )
    await starting_spawner
    recovered = recovery.Recovery(
        containers=containers,
        registry=registry,
        images=images,
        networks=networks,
        volumes=volumes,
        snapshots=snapshots,
        keepers=Keepers(),
        folder=folders.containers,
        run_folder=folders.keepers,
        shm_folder=folders.shm,
    )
    to_start = await recovered.recover()
    background.start("watch the firewall", networks.watch())
    said = builder_document(config)

    async def put_together() -> Tools:
        await asyncio.to_thread(
            importlib.import_module, BUILDER
        )  # it takes some tenths of a second
        from boxship.daemon.building import ContainerRules, make_tools
        from boxship.daemon.stepnetworks import StepNetworks

        return await make_tools(
            records=records,
            images=images,
            pulls=pulls,
            pushes=pushes,
            snapshots=snapshots,
            blobs=blobs,
            pool=pool,
            spawner=spawner,
            networks=StepNetworks(networks, starting),
            rules=ContainerRules(container_host, defaults, devices),
            sessions=doors.sessions,
            background=background,
            data=folders.build,
            run=folders.build_runs,
            allowed=entitlements(said),
            devices=devices,
            limits=cache_limits(said, folders.build),
        )

    building = Building(put_together)
    system = System(
        Facts.of_host(folders.data, tree.features(), tree.version),
        settings(config),
        journal=journal,
        containers=Counted(registry),
        images=images,
        networks=networks,
        volumes=volumes,
    )
    about = DoorsEngine(
        host=host,
        platforms=(host,),
        id=system.facts.id,
        hostname=system.facts.name,
        driver=config.text("storage_driver") or "overlay2",
        devices=devices,
    )
    doors = Doors(building, about)
    if traces.left(snapshots.keys(), records.folders, folders.build, folders.build_runs):
        await building.tools()  # which cleans them up
    ledger = Check(
        known=lambda: _known(registry, building),
        containers=folders.containers,
        keepers=folders.keepers,
        shm=folders.shm,
        data_root=folders.data,
        exec_root=folders.run,
        cgroup_parent=defaults.cgroup_parent,
        parts=(networks, images),
    )
    execs = Execs(containers)
    probes = Probes(containers, execs)
    Monitors(containers, probes).attend_all()
    bootstrap = BootstrapHost(environment, folders.work)
    parts: dict[type, object] = {
        type(part): part
        for part in (
            journal,
            images,
            pool,
            pulls,
            pushes,
            transfers,
            volumes,
            networks,
            containers,
            execs,
            probes,
            Archives(containers, trees, roots),
            Sampler(containers),
            Commits(containers, images, snapshots),
            system,
            bootstrap,
            ledger,
            building,
            doors,
            Builds(),
            Verification(images, blobs, snapshots),
        )
    }
    return Engine(
        journal=journal,
        images=images,
        networks=networks,
        volumes=volumes,
        containers=containers,
        pool=pool,
        pulls=pulls,
        pushes=pushes,
        environment=environment,
        spawner=spawner,
        background=background,
        system=system,
        defaults=live,
        to_start=to_start,
        parts=parts,
        doors=doors,
    )


start_again = recovery.start_again


def _known(registry: Registry, building: Building) -> Known:
    cells = list(registry)
    running = {cell.id for cell in cells if cell.record.state.has_process}
    return Known({cell.id for cell in cells}, running | building.running)


def _now() -> str:
    return moments.show(time.time_ns())


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(char for char in minor if char.isdigit()))
