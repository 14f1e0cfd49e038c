"""Create: what was asked for is checked, completed from image and defaults, and kept."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from boxship.container import (
    checks,
    defaults,
    devices,
    limits,
    links,
    merge,
    mountpoints,
    names,
    output,
)
from boxship.container.bundle import Host
from boxship.container.defaults import Defaults
from boxship.container.errors import NoSuchContainer
from boxship.container.limits import Features
from boxship.container.needs import Images, Snapshots, Volumes
from boxship.container.record import Container, MountPoint
from boxship.container.registry import Cell, Registry
from boxship.errors import InvalidRequest
from boxship.image.errors import NoSuchImage
from boxship.image.record import Image
from boxship.kernel.paths import make_folders_in_root
from boxship.lib.threads import visited
from boxship.model.ids import ContainerId
from boxship.snapshot.driver import ChainId
from boxship.spec.engine.common import Mount
from boxship.spec.engine.container import (
    ContainerConfig,
    EndpointSettings,
    HostConfig,
)
from boxship.spec.engine.image import ImageConfig
from boxship.spec.platform import Platform

NOT_FORWARDED: Final = "IPv4 forwarding is disabled. Networking will not work."
PUBLISHED_ON_HOST: Final = "Published ports are discarded when using host network mode"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to create."""

    config: ContainerConfig
    host_config: HostConfig
    endpoints: Mapping[str, EndpointSettings]
    name: str = ""
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class Creation:
    """Makes containers."""

    registry: Registry
    images: Images
    snapshots: Snapshots
    volumes: Volumes
    features: Features
    host: Host
    defaults: Defaults
    folder: str  # of all containers' folders
    cpus: int
    forwards: Callable[[], bool]  # whether the host routes for those on its bridges

    async def create(self, asked: Asked) -> tuple[Cell, list[str]]:
        """Make a container; return it and what to warn of. Fails with nothing left."""
        identifier = ContainerId(secrets.token_hex(32))
        name = names.checked(asked.name) if asked.name else names.unused(self.registry.names)
        await self.registry.begin(name, identifier)
        try:
            image = self._image(asked)
            record, warnings = self._decide(identifier, name, asked, image)
            await _check_binds(record)
            with ExitStack() as undo:
                record = await asyncio.to_thread(self._make_and_keep, record, image, undo)
                cell = self.registry.admit(record)
                undo.pop_all()
        except BaseException:
            if self.registry.get(identifier) is None:
                self.registry.release_name(name, identifier)
            raise
        return cell, warnings

    def _image(self, asked: Asked) -> Image | None:
        ref = asked.config.image or ""
        if not ref:
            return None
        try:
            return self.images.get(ref, asked.platform)
        except NoSuchImage:
            if (found := self.images.builtin(ref)) is None:
                raise
            return found

    # ---- deciding

    def _decide(
        self, identifier: ContainerId, name: str, asked: Asked, image: Image | None
    ) -> tuple[Container, list[str]]:
        """Work out the record: pure but for what is looked up in memory."""
        host = msgspec.structs.replace(asked.host_config)
        config = merge.merged(asked.config, image.run if image else ImageConfig())
        config.image = asked.config.image or ""
        checks.check_config(config)
        checks.check_host_config(host)
        endpoints = dict(asked.endpoints)
        checks.check_network(asked.config, host, endpoints)
        warnings = limits.settle(host, self.features, self.cpus)
        warnings += limits.settle_new(host, self.features)
        if image is not None and asked.platform is None:
            warnings += checks.other_platform(image.config.platform, self.images.host)
        if host.network_mode == "host" and host.port_bindings:
            warnings.append(PUBLISHED_ON_HOST)
        defaults.fill_host_config(host, self.defaults)
        if host.network_mode not in ("host", "none") and not self.forwards():
            warnings.append(NOT_FORWARDED)
        self._check_runtime(host)
        if host.log_config:
            output.check(host.log_config)
        for mapping in host.devices or ():
            devices.check(mapping)
        for rule in host.device_cgroup_rules or ():
            devices.parse_rule(rule)
        self._resolve_shared(host)
        linked = self._links(host, name)
        self._fill_hostname(config, host, identifier)
        shares = (host.network_mode or "").startswith("container:")
        if not endpoints and not shares and not config.network_disabled:
            endpoints[host.network_mode or "bridge"] = EndpointSettings()
        elif "default" in endpoints:
            endpoints[host.network_mode or "bridge"] = endpoints.pop("default")
        record = Container(
            id=identifier,
            name=name,
            created=time.time_ns(),
            image=str(image.id) if image else "",
            config=config,
            host_config=host,
            endpoints=endpoints,
            driver=self.snapshots.driver,
            mounts=self._mounts(host, config),
            links={alias: other.id for alias, other in linked.items()},
            manifest=_descriptor(image),
        )
        return record, warnings

    def _check_runtime(self, host: HostConfig) -> None:
        name = host.runtime or ""
        if name != "native" and name not in self.defaults.runtimes:
            raise InvalidRequest(f"unknown or invalid runtime name: {name}")

    def _resolve_shared(self, host: HostConfig) -> None:
        """Replace names by IDs where another container's namespace is shared."""
        for member in ("network_mode", "ipc_mode", "pid_mode"):
            mode: str = getattr(host, member) or ""
            if mode.startswith("container:"):
                other = self._other(mode.removeprefix("container:"))
                setattr(host, member, f"container:{other.id}")

    def _other(self, ref: str) -> Cell:
        """Find a container that the new one shares something with."""
        try:
            return self.registry.find(ref)
        except NoSuchContainer as reason:  # not as such: clients would pull the image, and retry
            raise InvalidRequest(str(reason)) from None

    def _fill_hostname(
        self, config: ContainerConfig, host: HostConfig, identifier: ContainerId
    ) -> None:
        """Give it a name; who shares another's network is called as that one is."""
        mode, own = host.network_mode or "", self.host.hostname
        if mode.startswith("container:") and host.uts_mode != "host":
            other = self._other(mode.removeprefix("container:")).record.config
            own = other.hostname or own
            config.domainname = config.domainname or other.domainname
        defaults.fill_hostname(config, host, identifier, own)

    def _links(self, host: HostConfig, name: str) -> dict[str, Container]:
        """Return the containers to link to on the default bridge, and say so as inspect does."""
        if not host.links or host.network_mode != links.BRIDGE:
            return {}
        found = links.resolved(host.links, self.registry)
        host.links = links.shown(found, name)
        return found

    def _mounts(self, host: HostConfig, config: ContainerConfig) -> tuple[MountPoint, ...]:
        """Return what is to be attached; an image's name means from now on what it means now."""
        points = mountpoints.collect(host, config.volumes or (), self._mounts_of)
        return tuple(
            replace(point, name=point.source, source=self._mounted_image(point.source))
            if point.type == "image"
            else point
            for point in points
        )

    def _mounted_image(self, ref: str) -> str:
        try:
            return str(self.images.get(ref).id)
        except NoSuchImage as reason:  # not as such: clients would pull the container's own
            raise InvalidRequest(f'invalid mount config for type "image": {reason}') from None

    def _mounts_of(self, ref: str) -> Sequence[MountPoint]:
        return self._other(ref).record.mounts

    # ---- doing, in a worker thread

    def _make_and_keep(self, record: Container, image: Image | None, undo: ExitStack) -> Container:
        record = self._make(record, image, undo)
        self.registry.keep(record)
        return record

    def _make(self, record: Container, image: Image | None, undo: ExitStack) -> Container:
        """Make the filesystem, the folder and the volumes."""
        chain: ChainId | None = image.chain_id if image else None
        self.snapshots.prepare(record.id, chain)
        undo.callback(self.snapshots.remove, record.id)
        folder = os.path.join(self.folder, record.id)
        os.mkdir(folder, 0o710)
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        if any(p.type == "volume" for p in record.mounts) or record.config.working_dir:
            record = self._furnish(record, undo)
        return record

    def _furnish(self, record: Container, undo: ExitStack) -> Container:
        """Make the working folder and the volumes, new ones filled from the image."""
        root = self.snapshots.open(record.id)
        try:
            if record.config.working_dir not in (None, "", "/"):
                _make_working_folder(root, record.config.working_dir)
            asked = {mount.target: mount for mount in record.host_config.mounts or ()}
            points = [
                self._volume(record.id, root, point, asked.get(point.destination), undo)
                if point.type == "volume"
                else point
                for point in record.mounts
            ]
        finally:
            os.close(root)
        return replace(record, mounts=tuple(points))

    def _volume(
        self, container: str, root: int, point: MountPoint, asked: Mount | None, undo: ExitStack
    ) -> MountPoint:
        options, labels = mountpoints.volume_options(asked)
        volume = self.volumes.create(point.name or None, point.driver, options, labels)
        if not point.name:
            undo.callback(self.volumes.remove, volume.name, force=True)
        point = replace(point, name=volume.name, driver=volume.driver, source=volume.mountpoint)
        if not point.no_copy and not point.subpath:
            self._copy_up(root, point, container, mounted=bool(volume.options))
        return point

    def _copy_up(self, root: int, point: MountPoint, container: str, *, mounted: bool) -> None:
        """Fill a new volume from the image; one that is a mount of its own is mounted for that."""
        if mounted:
            self.volumes.acquire(point.name, container, destination=point.destination)
        try:
            self.volumes.copy_up(root, point.destination, point.name)
        finally:
            if mounted:
                self.volumes.release(point.name, container)


def _make_working_folder(root: int, path: str) -> None:
    try:
        os.close(make_folders_in_root(root, path))
    except NotADirectoryError:
        raise InvalidRequest(f"Cannot mkdir: {path} is not a directory") from None


def _descriptor(image: Image | None) -> bytes:
    """Return the manifest's descriptor, its platform included, as the API shows it."""
    if image is None:
        return b""
    shown = msgspec.to_builtins(image.variant.descriptor, enc_hook=str)
    if "platform" not in shown and image.variant.platform is not None:
        platform = image.variant.platform
        shown["platform"] = {"architecture": platform.architecture, "os": platform.os}
        if platform.variant:
            shown["platform"]["variant"] = platform.variant
    return msgspec.json.encode(shown)


async def _check_binds(record: Container) -> None:
    """Refuse to bind what is not there, unless it is to be made."""
    sources = [one.source for one in record.mounts if one.type == "bind" and not one.make_source]
    if not sources:
        return
    what = f"binds of {record.id[:12]}"
    found = await visited(what, lambda: [os.path.exists(source) for source in sources])
    if not all(found):
        raise InvalidRequest(
            'invalid mount config for type "bind": bind source path does not exist: '
            f"{sources[found.index(False)]}"
        )
