"""cgroup v2: one tree with all controllers, which each group hands down to those in it."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from boxship.kernel import bpf, inotify
from boxship.runtime.cgroups import devices, files, folders, paths, plan_v2, stats
from boxship.runtime.cgroups.errors import CgroupUnavailable
from boxship.runtime.cgroups.features import Features, warnings
from boxship.runtime.cgroups.layout import Hierarchy
from boxship.runtime.cgroups.tree import EMPTY_WITHIN, FROZEN_WITHIN, Entrance
from boxship.spec.oci import runtime

SUBTREE: Final = "cgroup.subtree_control"
SET_ASIDE: Final = "init"  # where processes go that stand in the way in a delegated root


class V2Group:
    """A container's folder."""

    def __init__(self, path: str, folder: str) -> None:
        self._path = path
        self._folder = folder

    @property
    def path(self) -> str:
        return self._path

    @property
    def folder(self) -> str:
        """Where it is shown."""
        return self._folder

    def place(self, file: str) -> str | None:
        return f"{self._folder}/{file}"

    def read(self, file: str) -> str | None:
        return files.read_if_there(f"{self._folder}/{file}")

    def exists(self) -> bool:
        return os.path.isdir(self._folder)

    def begin(self, resources: runtime.Resources, *, limit_devices: bool = True) -> None:
        """Set limits and devices of a group just made."""
        files.carry_out(plan_v2.writes(resources, self.read), self.place)
        if limit_devices:
            self.limit_devices(resources.devices)

    def update(self, resources: runtime.Resources) -> None:
        files.check_usage(resources, self.read("memory.current"))
        files.change(plan_v2.writes(resources, self.read), self.place)
        if resources.devices:
            self.limit_devices(resources.devices)

    def limit_devices(self, asked: Sequence[runtime.DeviceRule]) -> None:
        """Attach the program for these rules in the place of what was attached before."""
        rules = devices.complete(asked)
        group = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            before = bpf.attached(group, bpf.CGROUP_DEVICE)
            try:
                program = bpf.load(
                    bpf.PROG_TYPE_CGROUP_DEVICE, devices.program(rules), "boxship_devices"
                )
                try:
                    bpf.attach(group, program, bpf.CGROUP_DEVICE, *before[:1])
                finally:
                    os.close(program)
                for other in before[1:]:
                    bpf.detach(group, other, bpf.CGROUP_DEVICE)
            finally:
                for descriptor in before:
                    os.close(descriptor)
        except PermissionError as error:
            if in_initial_user_namespace():
                raise CgroupUnavailable(f"cannot limit devices: {error}") from error
            # Whoever has ids of a user namespace alone can make no device node to begin with.
        finally:
            os.close(group)

    def join_files(self) -> list[int]:
        return [folders.open_procs(self._folder)]

    def entrance(self) -> Entrance:
        return Entrance(os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), [])

    def add(self, pid: int) -> None:
        files.write(f"{self._folder}/{folders.PROCS}", str(pid))

    def freeze(self) -> None:
        files.write(f"{self._folder}/cgroup.freeze", "1")
        if not self._wait_until("frozen", 1, FROZEN_WITHIN):
            self.thaw()
            raise TimeoutError(f"unable to freeze {self._path} within {FROZEN_WITHIN:g} s")

    def thaw(self) -> None:
        files.write(f"{self._folder}/cgroup.freeze", "0")

    @property
    def frozen(self) -> bool:
        return dict(files.flat(self.read("cgroup.events") or "")).get("frozen") == 1

    def _wait_until(self, name: str, value: int, within: float) -> bool:
        """Wait until the kernel's events file says so; whether it did in time."""
        descriptor = os.open(f"{self._folder}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        try:
            watch = select.poll()
            watch.register(descriptor, select.POLLPRI)
            while dict(files.flat(os.pread(descriptor, 4096, 0).decode())).get(name) != value:
                if not watch.poll(within * 1000):
                    return False
            return True
        finally:
            os.close(descriptor)

    def kill(self) -> None:
        try:
            files.write(f"{self._folder}/cgroup.kill", "1")
        except FileNotFoundError:  # older than Linux 5.14
            folders.kill_members(self.pids)

    def pids(self) -> list[int]:
        return folders.members(self._folder)

    def stats(self) -> stats.CgroupStats:
        return stats.CgroupStats(
            unified=True,
            cpu=stats.cpu_v2(self.read),
            memory=stats.memory_v2(self.read),
            pids=stats.pids(self.read),
            blkio=stats.io_v2(self.read),
        )

    def oom_watch(self) -> int | None:
        events = f"{self._folder}/memory.events"
        return inotify.watch(events, inotify.IN_MODIFY) if os.path.exists(events) else None

    def oom_kills(self) -> int:
        return dict(files.flat(self.read("memory.events") or "")).get("oom_kill", 0)

    def remove(self, within: float = EMPTY_WITHIN) -> None:
        def until_empty(longest: float) -> None:
            with suppress(OSError):  # it is gone, or going
                self._wait_until("populated", 0, longest)

        folders.delete_soon(self._folder, within, until_empty)


class V2Tree:
    """The tree of v2; `alone` when there is no tree of v1 beside it."""

    version = 2

    def __init__(self, hierarchy: Hierarchy, *, alone: bool = True) -> None:
        self._hierarchy = hierarchy
        self._alone = alone

    @property
    def controllers(self) -> frozenset[str]:
        """Return the controllers that the tree can hand to groups; devices need none."""
        return frozenset(files.read(f"{self._hierarchy.mount}/cgroup.controllers").split())

    def create(self, path: str, resources: runtime.Resources | None = None) -> V2Group:
        with folders.all_or_none() as made:
            return self.create_in(made, path, resources)

    def create_in(
        self,
        made: list[str],
        path: str,
        resources: runtime.Resources | None,
        *,
        limit_devices: bool = True,
    ) -> V2Group:
        """Make a group; `made` takes each folder as soon as it exists."""
        group = self.open(path)
        folder = self._hierarchy.folder(group.path)
        made.extend(folders.make(folder, self._hierarchy.mount, self.hand_down))
        if resources is not None:
            group.begin(resources, limit_devices=limit_devices)
        return group

    def open(self, path: str) -> V2Group:
        path = paths.parse(path)
        return V2Group(path, self._hierarchy.folder(path))

    def hand_down(self, folder: str) -> None:
        """Give the groups in `folder` every controller that it has itself.

        A group with processes of its own cannot. In the root of a delegated tree (a container's,
        say) these are our own and our neighbours': they move into a group beside ours. That comes
        first, for with some controllers handed down nobody could move any more.
        """
        has = set(files.read(f"{folder}/cgroup.controllers").split())
        given = set(files.read(f"{folder}/{SUBTREE}").split())
        if has <= given:
            return
        if folder != self._hierarchy.mount:
            self.hand_down(os.path.dirname(folder))
            has = set(files.read(f"{folder}/cgroup.controllers").split())
        elif self._is_delegated_root(folder):
            set_aside(folder)
        for controller in sorted(has - given):
            with suppress(OSError):  # it will be missing when, and if, a limit asks for it
                files.write(f"{folder}/{SUBTREE}", f"+{controller}")

    def _is_delegated_root(self, folder: str) -> bool:
        """Say whether it is the top of what we see, but not of what the kernel has."""
        return folder == self._hierarchy.mount and os.path.exists(f"{folder}/cgroup.type")

    def features(self) -> Features:
        has = self.controllers
        sample = self._sample()

        def shows(file: str, otherwise: bool) -> bool:
            return otherwise if sample is None else os.path.exists(f"{sample}/{file}")

        mount = self._hierarchy.mount
        effective = (files.read_if_there(f"{mount}/cpuset.{n}.effective") for n in ("cpus", "mems"))
        cpus, mems = ((text or "").strip() for text in effective)
        memory, cpu, io = ("memory" in has, "cpu" in has, "io" in has)
        weight = io and (shows("io.weight", True) or shows("io.bfq.weight", True))
        return Features(
            unified=True,
            memory_limit=memory,
            memory_reservation=memory,
            swap_limit=memory and shows("memory.swap.max", True),
            cpu_shares=cpu,
            cpu_quota=cpu and shows("cpu.max", True),
            cpu_period=cpu and shows("cpu.max", True),
            cpuset="cpuset" in has,
            cpus=cpus,
            mems=mems,
            pids_limit="pids" in has,
            blkio_weight=weight,
            blkio_weight_device=weight,
            read_bps=io and shows("io.max", True),
            write_bps=io and shows("io.max", True),
            read_iops=io and shows("io.max", True),
            write_iops=io and shows("io.max", True),
            devices=self._alone,
            freezer=self._alone,
            hugetlb="hugetlb" in has,
        )

    def _sample(self) -> str | None:
        """Return a group that shows the files of every controller; the root shows few."""
        mount, wanted = self._hierarchy.mount, self.controllers
        with os.scandir(mount) as entries:
            groups = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        for group in groups:
            here = files.read_if_there(f"{group}/cgroup.controllers") or ""
            if wanted <= set(here.split()):
                return group
        return None

    def missing(self) -> list[str]:
        return warnings(self.features())

    def remove_if_empty(self, path: str) -> None:
        with suppress(OSError):
            os.rmdir(self._hierarchy.folder(paths.parse(path)))


def set_aside(folder: str) -> None:
    """Move the processes of a group, if it has any, into one below it."""
    standing = files.read(f"{folder}/{folders.PROCS}").split()
    if not standing:
        return
    aside = f"{folder}/{SET_ASIDE}"
    with suppress(FileExistsError):
        os.mkdir(aside, 0o755)
    for pid in standing:
        with suppress(OSError):  # it has ended, or is a kernel thread
            files.write(f"{aside}/{folders.PROCS}", pid)


def in_initial_user_namespace() -> bool:
    """Say whether our user ids are the machine's."""
    with open("/proc/self/uid_map") as mapped:
        return mapped.read().split() == ["0", "0", "4294967295"]
