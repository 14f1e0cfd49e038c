"""Devices of a container, and the rules that let it use them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import Final

from boxship.errors import InvalidRequest
from boxship.runtime.cdi import Devices
from boxship.spec.engine.container import DeviceMapping, DeviceRequest, HostConfig
from boxship.spec.oci import runtime as oci

RULE: Final = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")
EVERYTHING: Final = "rwm"
NAMED: Final = "cdi"  # the driver of devices that the host offers by name


def _allow(type: str, major: int | None, minor: int | None, access: str) -> oci.DeviceRule:
    return oci.DeviceRule(allow=True, type=type, major=major, minor=minor, access=access)


DEFAULT_RULES: Final = (
    oci.DeviceRule(allow=False, access=EVERYTHING),
    _allow("c", None, None, "m"),
    _allow("b", None, None, "m"),
    _allow("c", 1, 3, EVERYTHING),  # null
    _allow("c", 1, 5, EVERYTHING),  # zero
    _allow("c", 1, 7, EVERYTHING),  # full
    _allow("c", 1, 8, EVERYTHING),  # random
    _allow("c", 1, 9, EVERYTHING),  # urandom
    _allow("c", 5, 0, EVERYTHING),  # tty
    _allow("c", 5, 1, EVERYTHING),  # console
    _allow("c", 5, 2, EVERYTHING),  # ptmx
    _allow("c", 136, None, EVERYTHING),  # pts
)


def wanted(host: HostConfig) -> tuple[list[oci.Device], list[oci.DeviceRule]]:
    """Return the nodes to make and the rules; looks at the host's nodes."""
    if host.privileged:
        nodes = [_node(path, path) for path in _all_nodes("/dev")]
        return nodes, [oci.DeviceRule(allow=True, access=EVERYTHING)]
    nodes, rules = [], [*DEFAULT_RULES]
    for mapping in host.devices or ():
        for node in _mapped(mapping):
            access = mapping.cgroup_permissions or EVERYTHING
            nodes.append(node)
            rules.append(_allow(node.type, node.major, node.minor, access))
    rules.extend(parse_rule(text) for text in host.device_cgroup_rules or ())
    return nodes, rules


def parse_rule(text: str) -> oci.DeviceRule:
    """Read `c 42:* rmw`."""
    if not (found := RULE.fullmatch(text)):
        raise InvalidRequest(f"invalid device cgroup rule format: '{text}'")
    kind, major, minor, access = found.groups()
    numbers = [None if word == "*" else int(word) for word in (major, minor)]
    return _allow(kind, numbers[0], numbers[1], access)


def check(mapping: DeviceMapping) -> None:
    """Check the words of one `--device`."""
    access = mapping.cgroup_permissions or EVERYTHING
    if not set(access) <= set(EVERYTHING):
        raise InvalidRequest(f"invalid device mode: {access}")


def check_request(request: DeviceRequest) -> None:
    """Check a request for devices that are not paths; InvalidRequest for what nobody serves."""
    if request.driver != NAMED:
        raise _nobody_serves(request)
    for what, given in (("count", request.count), ("options", request.options)):
        if given:
            raise InvalidRequest(f"unexpected {what} in CDI device request")


def add_named(spec: oci.Spec, host: HostConfig, offered: Devices) -> None:
    """Give a container the devices that it asks for by name; reads their files."""
    if not (requests := host.device_requests):
        return
    if not offered.folders:
        raise _nobody_serves(requests[0])
    try:
        offered.add(spec, [name for one in requests for name in one.device_ids or ()])
    except InvalidRequest as failure:
        raise InvalidRequest(f"CDI device injection failed: {failure}") from failure


def _nobody_serves(request: DeviceRequest) -> InvalidRequest:
    groups = " ".join(f"[{' '.join(group)}]" for group in request.capabilities or ())
    return InvalidRequest(
        f'could not select device driver "{request.driver or ""}" with capabilities: [{groups}]'
    )


def _mapped(mapping: DeviceMapping) -> Iterator[oci.Device]:
    source = mapping.path_on_host or ""
    target = mapping.path_in_container or source
    try:
        found = os.stat(source)
    except OSError as failure:
        reason = (failure.strerror or "").lower()
        raise InvalidRequest(
            f'error gathering device information while adding custom device "{source}": {reason}'
        ) from None
    is_folder = stat.S_ISDIR(found.st_mode)
    below = list(_all_nodes(source)) if is_folder else []
    if below:
        for path in below:
            yield _node(path, target + path[len(source.rstrip("/")) :])
        return
    if is_folder or not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        raise InvalidRequest(
            f'error gathering device information while adding custom device "{source}": '
            "not a device node"
        )
    yield _node(source, target)


def _node(source: str, target: str) -> oci.Device:
    found = os.stat(source)
    return oci.Device(
        type="b" if stat.S_ISBLK(found.st_mode) else "c",
        path=target,
        major=os.major(found.st_rdev),
        minor=os.minor(found.st_rdev),
        file_mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
    )


SKIPPED: Final = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})


def _all_nodes(folder: str) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in SKIPPED:
                yield from _all_nodes(entry.path)
        elif entry.name != "console" and not entry.is_symlink():
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                yield entry.path
