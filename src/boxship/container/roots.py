"""A container's files as the container sees them, held by a descriptor of its root folder.

A container with a process is looked at through that process. For one without, a view is built: a
thread of its own enters a mount namespace of its own, attaches the snapshot there and the
container's mounts below it, and ends with it; the host never shows any of these mounts.

Targets of mounts are resolved beneath the root's descriptor and attached by descriptor, so that
whoever shares a volume with the container and swaps names in it leads nobody outside.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final

from boxship.errors import Conflict
from boxship.kernel import apart, mounts, namespaces, paths

FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
# What the kernel shows of itself: not files of anybody's, and some of them without end.
KERNEL_FILESYSTEMS: Final = frozenset(
    {
        *("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs"),
        *("securityfs", "bpf", "pstore", "configfs", "fusectl", "binfmt_misc", "efivarfs"),
    }
)


class ProcessGone(Conflict):
    """The container's process ended while its root was being opened."""


@dataclass(frozen=True, slots=True)
class Attached:
    """What is to be seen at `target` in the container: a path of the host, or a detached mount."""

    target: str
    source: str | int
    writable: bool = True
    recursive: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """The root folder (O_PATH), and the devices of filesystems that hold no files."""

    root: int
    skipped: frozenset[int] = field(default_factory=frozenset)


def of_process(pid: int, keeper: int, undo: ExitStack) -> View:
    """Open the root of a container's init, a child of its keeper; ProcessGone when it is not."""
    try:
        pidfd = os.pidfd_open(pid)
        undo.callback(os.close, pidfd)
        root = os.open(f"/proc/{pid}/root", FOLDER)
        undo.callback(os.close, root)
        skipped = _kernel_devices(pid)
        parent = _parent(pid)
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessGone("the container's process has ended") from None
    if parent != keeper or _has_ended(pidfd):
        raise ProcessGone("the container's process has ended")
    return View(root, skipped)


def root_mount_of_process(pid: int, keeper: int, undo: ExitStack) -> View:
    """Return a copy of the mount that is the root of a container's init, without those below.

    Only a thread that ends afterwards may call this: it visits the container's mount namespace,
    where it looks up nothing but the root.
    """
    of_process(pid, keeper, undo)
    theirs = namespaces.open_namespace(pid, "mount")
    undo.callback(os.close, theirs)
    ours = namespaces.open_namespace("thread-self", "mount")
    undo.callback(os.close, ours)
    of_process(pid, keeper, undo)  # still the process whose namespace we have
    namespaces.unshare(namespaces.CLONE_FS)
    namespaces.setns(theirs, namespaces.CLONE_NEWNS)
    try:
        tree = mounts.open_tree("/")
    finally:
        namespaces.setns(ours, namespaces.CLONE_NEWNS)
    undo.callback(os.close, tree)
    return View(tree)


def build(snapshot: int, place: str, wanted: Sequence[Attached], *, readonly: bool) -> View:
    """Build the view of a container without a process, in a thread that ends afterwards.

    `snapshot` is a detached mount, `place` an empty folder of ours to attach it to. The thread
    leaves the host: it holds no mount of it but those that are wanted.
    """
    with ExitStack() as undo:
        attached = [found for one in wanted if (found := _copied(one, undo)) is not None]
        apart.leave_host(place, *apart.OWN)
        _put_together(snapshot, place, attached, readonly=readonly)
    return View(snapshot)


def _copied(one: Attached, undo: ExitStack) -> Attached | None:
    """Return a mount with what it shows as a detached copy."""
    if isinstance(one.source, int):
        return one
    try:
        tree = mounts.open_tree(one.source, recursive=one.recursive)
    except FileNotFoundError:
        return None  # it will be made, or missed, by the start; until then there is nothing to see
    undo.callback(os.close, tree)
    return replace(one, source=tree)


def _put_together(
    snapshot: int, place: str, attached: Sequence[Attached], *, readonly: bool
) -> None:
    mounts.move_mount(snapshot, place)
    mounts.mount_setattr(snapshot, propagation=mounts.MS_PRIVATE)
    for one in sorted(attached, key=lambda one: one.target.rstrip("/").count("/")):
        _attach(snapshot, one)
    if readonly:
        mounts.mount_setattr(snapshot, add=mounts.MOUNT_ATTR_RDONLY)


def _attach(root: int, one: Attached) -> None:
    assert isinstance(one.source, int)
    is_folder = stat.S_ISDIR(os.fstat(one.source).st_mode)
    make = paths.make_folders_in_root if is_folder else paths.make_file_in_root
    mounts.mount_setattr(one.source, propagation=mounts.MS_PRIVATE, recursive=True)
    if not one.writable:
        mounts.mount_setattr(one.source, add=mounts.MOUNT_ATTR_RDONLY, recursive=True)
    target = make(root, one.target)
    try:
        mounts.move_mount(one.source, target)
    finally:
        os.close(target)


def mount_of(descriptor: int) -> int:
    """Return the number of the mount that a descriptor is on."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        for line in file:
            if line.startswith("mnt_id:"):
                return int(line.split()[1])
    raise OSError("the kernel does not tell the mount of a descriptor")


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _kernel_devices(pid: int) -> frozenset[int]:
    found: set[int] = set()
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        for line in file:
            before, _, after = line.partition(b" - ")
            if after.split()[0].decode() in KERNEL_FILESYSTEMS:
                major, _, minor = before.split()[2].partition(b":")
                found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)
