"""The builder, put together; and containers' rules as builds ask for them.

Nothing imports this before somebody builds; see `api.building`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import dataclass

from boxship.api.building import Tools
from boxship.build.builder import Builder
from boxship.build.cache.arrivals import Arrivals
from boxship.build.cache.cache import Cache, Keep
from boxship.build.cache.folders import Folders
from boxship.build.cache.imports import Imports
from boxship.build.cache.records import Records
from boxship.build.digests import Digests
from boxship.build.errors import NoSuchOwner
from boxship.build.export.ahead import Ahead
from boxship.build.export.archives import Archives
from boxship.build.export.caches import CacheExports
from boxship.build.export.exporter import Exporter
from boxship.build.export.images import ImageExport
from boxship.build.export.layers import LayerPacker
from boxship.build.export.squash import Squash
from boxship.build.files.last import LastCopies
from boxship.build.files.perform import FileChanges
from boxship.build.files.tars import Tars
from boxship.build.filesystems import Filesystems
from boxship.build.intermediate import Intermediates
from boxship.build.needs import Program, Sessions, Spawner
from boxship.build.running.execution import Executions
from boxship.build.running.helpers import Helpers
from boxship.build.running.runner import Runner
from boxship.build.solver.performing import Performing
from boxship.build.solver.solver import Solver
from boxship.build.sources.contexts import Contexts, LocalSource
from boxship.build.sources.git.source import GitSource
from boxship.build.sources.http import HttpSource
from boxship.build.sources.images import ImageSource
from boxship.build.sources.layouts import LayoutSource
from boxship.build.sources.left import LeftBehind
from boxship.build.traces import CONTEXTS, COPIES, FOLDERS
from boxship.build.uploads import Uploads
from boxship.container import bundle
from boxship.container.background import Background
from boxship.container.bundle import Host, Setting
from boxship.container.defaults import Defaults, fill_host_config
from boxship.container.record import Container
from boxship.container.users import Accounts, NoSuchUser
from boxship.content.store import Blobs
from boxship.daemon.buildsettings import CacheLimits
from boxship.daemon.joints import Keepers
from boxship.daemon.stepnetworks import StepNetworks
from boxship.distribution.pool import Pool
from boxship.image.images import Images
from boxship.image.pull import Pulls
from boxship.image.push import Pushes
from boxship.model.ids import ContainerId
from boxship.runtime.cdi import Devices
from boxship.snapshot.driver import ChainId
from boxship.snapshot.drivers import layerfile
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.engine.container import ContainerConfig, HostConfig, HostConfigUlimitsItem
from boxship.spec.oci import runtime as oci

KNOWN_HOSTS = "known_hosts"  # beneath a builder's data: the keys of git's ssh servers
PAST = "history"
AT_ONCE = 8  # vertices that are performed at the same time, and no fewer
HOSTNAME = "/etc/hostname"  # the image's own: what a step writes there stays


@dataclass(frozen=True, slots=True)
class ContainerRules:
    """What a build's process is given: the same as a container that nobody said anything of."""

    host: Host
    defaults: Defaults
    devices: Devices

    def spec(self, program: Program, root: int) -> oci.Spec:
        """Return a bundle's configuration."""
        wanted = _host_config(program)
        fill_host_config(wanted, self.defaults)
        record = Container(
            id=ContainerId(program.id),
            name=program.id[:12],
            created=0,
            image="",
            config=ContainerConfig(
                hostname=program.hostname,
                user=program.user,
                env=list(program.env),
                cmd=list(program.args),
                working_dir=program.cwd,
                tty=program.tty,
            ),
            host_config=wanted,
        )
        setting = Setting(
            folder=program.folder,
            files=program.folder,
            identity=Accounts.read(root).resolve(program.user),
            private_network=program.own_network,
            joined={"network": program.joined} if program.joined else {},
            hostname=self.host.hostname,
        )
        spec = bundle.spec(record, setting, self.host, self.defaults)
        taken = {*program.taken, HOSTNAME}
        spec.mounts = [one for one in spec.mounts if one.destination not in taken]
        assert spec.process is not None
        spec.process.env = [  # as in BuildKit, a step's host has no name in its environment
            one
            for one in spec.process.env or ()
            if not one.startswith("HOSTNAME=") or one in program.env
        ]
        if program.devices:
            self.devices.add(spec, program.devices)
            bundle.make_place_for_hooks(spec, program.folder)
        return spec

    def owner(self, root: int, user: str, group: str, *, required: bool) -> tuple[int, int]:
        """Look up a user and a group; a group that nobody has leaves the user's."""
        known, uid, gid = Accounts.read(root), 0, 0
        try:
            found = known.resolve(user)
            uid, gid = found.uid, found.uid if user.isdigit() else found.gid
        except NoSuchUser:
            if required:
                raise NoSuchOwner("user", "u", user) from None
        try:
            gid = known.resolve(f"0:{group}").gid if group else gid
        except NoSuchUser:
            if required:
                raise NoSuchOwner("group", "g", group) from None
        return uid, gid


def _host_config(program: Program) -> HostConfig:
    limits = program.resources
    return HostConfig(
        network_mode=program.network,
        privileged=program.insecure,
        memory=limits.memory or None,
        memory_swap=limits.memory_swap or None,
        cpu_shares=limits.cpu_shares or None,
        cpu_period=limits.cpu_period or None,
        cpu_quota=limits.cpu_quota or None,
        cpuset_cpus=limits.cpuset_cpus or None,
        cpuset_mems=limits.cpuset_mems or None,
        cgroup_parent=limits.cgroup_parent or None,
        shm_size=limits.shm_size or None,
        pids_limit=limits.pids or None,
        ulimits=[
            HostConfigUlimitsItem(name=name, soft=soft, hard=hard)
            for name, soft, hard in program.ulimits
        ]
        or None,
    )


async def make_tools(
    *,
    records: Records,
    images: Images,
    pulls: Pulls,
    pushes: Pushes,
    snapshots: Snapshots,
    blobs: Blobs,
    pool: Pool,
    spawner: Spawner,
    networks: StepNetworks,
    rules: ContainerRules,
    sessions: Sessions,
    background: Background,
    data: str,
    run: str,
    allowed: Collection[str],
    devices: Devices,
    limits: CacheLimits | None,
) -> Tools:
    """Put the parts together, and clean up behind a builder that was killed."""
    filesystems = Filesystems(snapshots, time.time_ns)
    swept = filesystems.sweep()
    records.reconcile({*snapshots.layers()})
    if swept:
        images.collect()  # layers that only those stood on: nobody has recorded them
    folders = Folders(os.path.join(data, FOLDERS), records, time.time_ns)
    folders.reconcile()
    runner = Runner(spawner, Keepers(), networks, rules, run)
    helpers = Helpers(run)
    await helpers.recover()
    await runner.recover()
    contexts = Contexts(os.path.join(data, CONTEXTS))
    image_source = ImageSource(images, pulls, blobs)
    arrivals = Arrivals(records, snapshots, blobs)
    layouts = LayoutSource(arrivals, images.host)
    local, files = LocalSource(folders, records), HttpSource(folders)
    digests = Digests(filesystems)
    left = LeftBehind()
    executions = Executions(filesystems, folders, runner, devices, left, digests)
    copies = LastCopies(os.path.join(data, COPIES), snapshots, layerfile.this_boot())
    tars = Tars(blobs, copies)
    cpus = os.cpu_count() or 1
    performing = Performing(
        {
            "docker-image": image_source,
            "oci-layout": layouts,
            "context": contexts,
            "local": local,
            "left": left,
            "http": files,
            "https": files,
            "git": GitSource(folders, helpers, os.path.join(data, KNOWN_HOSTS)),
        },
        executions,
        FileChanges(filesystems, rules, tars),
        filesystems,
        images.host,
        max(AT_ONCE, 2 * cpus),
    )
    ahead = Ahead(records, snapshots, blobs, tars, max(1, cpus // 2))
    packer = LayerPacker(records, filesystems, snapshots, blobs, images, tars, ahead)
    image_export = ImageExport(images, blobs, packer, filesystems, images.host)
    builder = Builder(
        ahead=ahead,
        solver=Solver(records, filesystems, digests, performing),
        records=records,
        folders=folders,
        filesystems=filesystems,
        digests=digests,
        contexts=contexts,
        finder=image_source,
        layouts=layouts,
        squash=Squash(filesystems, records),
        exporter=Exporter(
            image_export,
            Archives(images, blobs, filesystems, image_export, images.host),
            pushes,
        ),
        cache_exports=CacheExports(images, blobs, packer, filesystems, pool),
        imports=Imports(images, blobs, arrivals, pool),
        cache=Cache(records, folders, images, data, time.time_ns),
        runner=runner,
        executions=executions,
        sessions=sessions,
        allowed=frozenset(allowed),
        host=images.host,
    )
    keep = None
    if limits is not None:
        keep = Keep(reserved=limits.reserved, most=limits.most, free=limits.free)
    background.start("keep the build cache small", builder.cache.watch(keep))
    uploads = Uploads(os.path.join(data, CONTEXTS), contexts, tars.known)

    def current(chain: ChainId) -> ChainId | None:
        now = packer.current(chain)
        return now if snapshots.has_layer(now) else None

    intermediates = Intermediates(images, image_export, records, current)
    images.late = intermediates.find
    past = os.path.join(data, PAST)
    return Tools(builder, uploads, intermediates, blobs, past, background.start)
