"""Devices that the host offers by name (CDI): found in folders, added to a container's bundle.

A file that cannot be read counts as not there. A later folder's device hides an earlier one's of
the same name; two of one folder hide each other.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from boxship.errors import InvalidRequest, NotSupported
from boxship.spec import cdi
from boxship.spec.oci import runtime as oci

log = logging.getLogger(__name__)

FOLDERS: Final = ("/etc/cdi", "/var/run/cdi")
KINDS: Final = (".json", ".yaml")
LARGEST: Final = 4 << 20
VENDOR: Final = re.compile(r"[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
CLASS: Final = re.compile(r"[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?")
EVERYTHING: Final = "rwm"
TYPES: Final = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}
HOOKS: Final = {
    "prestart": "prestart",
    "createRuntime": "create_runtime",
    "createContainer": "create_container",
    "startContainer": "start_container",
    "poststart": "poststart",
    "poststop": "poststop",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A device of the host; edits are its file's and its own, in this order."""

    name: str
    annotations: Mapping[str, str]
    edits: tuple[cdi.Edits, ...]

    @property
    def kind(self) -> str:
        return self.name.partition("=")[0]


class Devices:
    """The devices that the host offers now; files are read at each question."""

    def __init__(self, folders: Sequence[str] = FOLDERS) -> None:
        self.folders = tuple(folders)

    def all(self) -> dict[str, Found]:
        """Return the devices by name, sorted."""
        found: dict[str, Found] = {}
        for folder in self.folders:
            here: dict[str, Found | None] = {}
            for one in _in_folder(folder):
                here[one.name] = None if one.name in here else one
            for name, device in here.items():
                if device is None:
                    found.pop(name, None)
                    log.warning("%s has the device %s twice: it is not offered", folder, name)
                else:
                    found[name] = device
        return dict(sorted(found.items()))

    def add(self, spec: oci.Spec, names: Sequence[str]) -> None:
        """Let a container have devices; InvalidRequest where one is not there."""
        known = self.all()
        done: set[int] = set()
        for name in names:
            if name not in known:
                raise InvalidRequest(f"unresolvable CDI devices {name}")
            for edits in known[name].edits:
                if id(edits) not in done:  # a file's own are for all its devices, and once
                    done.add(id(edits))
                    _edit(spec, edits)


def is_kind(text: str) -> bool:
    """Whether this is `vendor.com/class`."""
    vendor, slash, rest = text.partition("/")
    return bool(slash and VENDOR.fullmatch(vendor) and CLASS.fullmatch(rest))


def _in_folder(folder: str) -> Iterator[Found]:
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name.endswith(KINDS):
            path = os.path.join(folder, name)
            try:
                yield from _in_file(path)
            except (OSError, ValueError, msgspec.ValidationError) as error:
                log.warning("the devices of %s are not offered: %s", path, error)


def _in_file(path: str) -> list[Found]:
    with open(path, "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError("the file is too large")
    spec = _decoded(path, data)
    if not spec.cdi_version or not is_kind(spec.kind):
        raise ValueError(f"invalid kind {spec.kind[:100]!r}")
    if not all(NAME.fullmatch(one.name) for one in spec.devices):
        raise ValueError("a device has an invalid name")
    return [
        Found(
            f"{spec.kind}={one.name}",
            {**spec.annotations, **one.annotations},
            (spec.container_edits, one.container_edits),
        )
        for one in spec.devices
    ]


def _decoded(path: str, data: bytes) -> cdi.Spec:
    if path.endswith(".json"):
        return msgspec.json.decode(data, type=cdi.Spec)
    import yaml

    try:
        return msgspec.convert(yaml.safe_load(data), cdi.Spec)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


# What a device changes


def _edit(spec: oci.Spec, edits: cdi.Edits) -> None:
    if edits.net_devices or edits.intel_rdt is not None:
        raise NotSupported("CDI devices that change a container's network or caches")
    if spec.process is not None:
        changed = {line.partition("=")[0] for line in edits.env}
        kept = [line for line in spec.process.env if line.partition("=")[0] not in changed]
        spec.process.env = [*kept, *edits.env]
        gids = spec.process.user.additional_gids
        spec.process.user.additional_gids = list(
            dict.fromkeys([*gids, *(gid for gid in edits.additional_gids if gid)])
        )
    for node in edits.device_nodes:
        _add_node(spec, node)
    taken = {mount.container_path for mount in edits.mounts}
    spec.mounts = [one for one in spec.mounts if one.destination not in taken]
    spec.mounts += [_mount(one) for one in edits.mounts]
    for hook in edits.hooks:
        _add_hook(spec, hook)


def _add_node(spec: oci.Spec, node: cdi.DeviceNode) -> None:
    if spec.linux is None:
        raise NotSupported("devices of a container that is not Linux")
    kind, major, minor = node.type, node.major, node.minor
    if not kind or (kind != "p" and major is None):
        kind, major, minor = _of_host(node.host_path or node.path, node.type)
    spec.linux.devices = [one for one in spec.linux.devices if one.path != node.path]
    made = oci.Device(
        type=kind,
        path=node.path,
        major=major or 0,
        minor=minor or 0,
        file_mode=node.file_mode,
        uid=node.uid,
        gid=node.gid,
    )
    spec.linux.devices.append(made)
    if kind in ("b", "c"):
        if spec.linux.resources is None:
            spec.linux.resources = oci.Resources()
        access = node.permissions or EVERYTHING
        rule = oci.DeviceRule(allow=True, type=kind, major=major, minor=minor, access=access)
        spec.linux.resources.devices = [*spec.linux.resources.devices, rule]


def _of_host(path: str, said: str) -> tuple[str, int, int]:
    """Return the type and numbers of a node of the host."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise InvalidRequest(f"the CDI device node {path} is not there: {error}") from error
    kind = TYPES.get(stat.S_IFMT(found.st_mode), "")
    if not kind or (said and said not in (kind, "u" if kind == "c" else kind)):
        raise InvalidRequest(f"the CDI device node {path} is no device of type {said or 'b or c'}")
    return kind, os.major(found.st_rdev), os.minor(found.st_rdev)


def _mount(one: cdi.Mount) -> oci.Mount:
    options = one.options or ["ro", "nosuid", "nodev", "rbind", "rprivate"]
    return oci.Mount(
        destination=one.container_path,
        source=one.host_path,
        type=one.type or "bind",
        options=list(options),
    )


def _add_hook(spec: oci.Spec, hook: cdi.Hook) -> None:
    name = HOOKS.get(hook.hook_name)
    if name is None:
        raise InvalidRequest(f"unknown hook {hook.hook_name[:100]!r} of a CDI device")
    if spec.hooks is None:
        spec.hooks = oci.Hooks()
    made = oci.Hook(path=hook.path, args=hook.args, env=hook.env, timeout=hook.timeout)
    setattr(spec.hooks, name, [*getattr(spec.hooks, name), made])
