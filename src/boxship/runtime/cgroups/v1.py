"""cgroup v1: a tree for each controller, or for a few of them together, and a named one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

from boxship.runtime.cgroups import devices, files, folders, paths, plan_v1, stats
from boxship.runtime.cgroups.errors import CgroupUnavailable, ControllerMissing
from boxship.runtime.cgroups.features import Features, warnings
from boxship.runtime.cgroups.layout import Hierarchy
from boxship.runtime.cgroups.tree import EMPTY_WITHIN, FROZEN_WITHIN, Entrance
from boxship.runtime.cgroups.waiting import attempts
from boxship.runtime.cgroups.writes import Write
from boxship.spec.oci import runtime

KILL_FREEZE = 0.2  # seconds to get everything to stand still before it is killed


class V1Group:
    """A container's folders, one in each tree."""

    def __init__(self, path: str, hierarchies: Sequence[Hierarchy]) -> None:
        self._path = path
        self._folders = [tree.folder(path) for tree in hierarchies]
        self._of = {
            controller: folder
            for tree, folder in zip(hierarchies, self._folders, strict=True)
            for controller in tree.controllers
        }

    @property
    def path(self) -> str:
        return self._path

    def place(self, file: str) -> str | None:
        """Return the path of a file of this group, None where its controller is not mounted."""
        folder = self._of.get(file.partition(".")[0])
        return folder and f"{folder}/{file}"

    def read(self, file: str) -> str | None:
        return files.read_if_there(self.place(file))

    def exists(self) -> bool:
        return any(map(os.path.isdir, self._folders))

    def begin(self, resources: runtime.Resources, *, limit_devices: bool = True) -> None:
        """Set limits and devices of a group just made."""
        files.carry_out(plan_v1.writes(resources, self.read), self.place)
        if limit_devices:
            self.limit_devices(resources.devices)

    def update(self, resources: runtime.Resources) -> None:
        files.check_usage(resources, self.read("memory.usage_in_bytes"))
        files.change(plan_v1.writes(resources, self.read), self.place)
        if resources.devices:
            self.limit_devices(resources.devices, gently=True)

    def limit_devices(self, asked: Sequence[runtime.DeviceRule], *, gently: bool = False) -> None:
        """Write the device rules; gently, nothing that stays allowed is denied meanwhile."""
        default, other, lines = devices.lines(devices.policy_of(devices.complete(asked)))
        if gently and default == "devices.deny":
            now = (self.read("devices.list") or "").splitlines()
            if now != ["a *:* rwm"]:
                gone = [Write("devices.deny", line) for line in now if line not in lines]
                added = [Write("devices.allow", line) for line in lines]
                return files.carry_out(gone + added, self.place)
        files.put(Write(default, "a", optional=default == "devices.allow"), self.place)
        path = self.place(other)
        if path is None:
            return None
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for line in lines:
                os.write(descriptor, line.encode())
        except OSError as error:
            raise files.failure(Write(other, line), self.place, error) from error
        finally:
            os.close(descriptor)

    def join_files(self) -> list[int]:
        opened: list[int] = []
        try:
            for folder in self._folders:
                opened.append(folders.open_tasks(folder))
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            raise
        return opened

    def entrance(self) -> Entrance:
        return Entrance(None, self.join_files())

    def add(self, pid: int) -> None:
        for folder in self._folders:
            files.write(f"{folder}/{folders.PROCS}", str(pid))

    def freeze(self) -> None:
        self.freeze_within(FROZEN_WITHIN)

    def freeze_within(self, seconds: float) -> None:
        """Freeze, or leave everything running and raise TimeoutError.

        A process that forks at the wrong moment can hold the state at FREEZING until it is
        asked for again.
        """
        path = self._freezer()
        for _ in attempts(seconds, 0.0002, 0.02):
            files.write(path, "FROZEN")
            if files.read(path).strip() == "FROZEN":
                return
        files.write(path, "THAWED")
        raise TimeoutError(f"unable to freeze {self._path} within {seconds:g} s")

    def thaw(self) -> None:
        files.write(self._freezer(), "THAWED")

    @property
    def frozen(self) -> bool:
        return (self.read("freezer.state") or "").strip() == "FROZEN"

    def _freezer(self) -> str:
        path = self.place("freezer.state")
        if path is None:
            raise ControllerMissing("freezer.state")
        return path

    def kill(self) -> None:
        """Freeze, so that the list is complete and no number is used again; kill; thaw."""
        with suppress(TimeoutError, OSError, ControllerMissing):
            self.freeze_within(KILL_FREEZE)
        try:
            folders.kill_members(self.pids)
        finally:
            with suppress(OSError, ControllerMissing):
                self.thaw()

    def pids(self) -> list[int]:
        for controller in ("freezer", "pids", "memory"):
            if controller in self._of:
                return folders.members(self._of[controller])
        return folders.members(self._folders[0])

    def stats(self) -> stats.CgroupStats:
        return stats.CgroupStats(
            unified=False,
            cpu=stats.cpu_v1(self.read),
            memory=stats.memory_v1(self.read),
            pids=stats.pids(self.read),
            blkio=stats.blkio_v1(self.read),
        )

    def oom_watch(self) -> int | None:
        path = self.place("memory.oom_control")
        if path is None or not os.path.exists(path):
            return None
        signalled = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            watched = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                folder = os.path.dirname(path)
                files.write(f"{folder}/cgroup.event_control", f"{signalled} {watched}")
            finally:
                os.close(watched)
        except OSError:
            os.close(signalled)
            raise
        return signalled

    def oom_kills(self) -> int:
        return dict(files.flat(self.read("memory.oom_control") or "")).get("oom_kill", 0)

    def remove(self, within: float = EMPTY_WITHIN) -> None:
        deadline = time.monotonic() + within
        for folder in self._folders:
            folders.delete_soon(folder, deadline - time.monotonic())


class V1Tree:
    """The trees of v1; `hierarchies` says which controllers each has."""

    version = 1

    def __init__(self, hierarchies: Sequence[Hierarchy]) -> None:
        self._hierarchies = hierarchies

    @property
    def controllers(self) -> frozenset[str]:
        return frozenset().union(*(tree.controllers for tree in self._hierarchies))

    def create(self, path: str, resources: runtime.Resources | None = None) -> V1Group:
        with folders.all_or_none() as made:
            return self.create_in(made, path, resources)

    def create_in(
        self,
        made: list[str],
        path: str,
        resources: runtime.Resources | None,
        *,
        limit_devices: bool = True,
    ) -> V1Group:
        """Make a group; `made` takes each folder as soon as it exists."""
        group = self.open(path)
        for tree in self._hierarchies:
            for folder in folders.make(tree.folder(group.path), tree.mount):
                made.append(folder)
                if "cpuset" in tree.controllers:
                    fill_cpuset(folder, tree.mount)
        if resources is not None:
            group.begin(resources, limit_devices=limit_devices)
        return group

    def open(self, path: str) -> V1Group:
        return V1Group(paths.parse(path), self._hierarchies)

    def features(self) -> Features:
        place = V1Group("/", self._hierarchies).place

        def has(file: str) -> bool:
            path = place(file)
            return path is not None and os.path.exists(path)

        return Features(
            memory_limit=has("memory.limit_in_bytes"),
            memory_reservation=has("memory.soft_limit_in_bytes"),
            swap_limit=has("memory.memsw.limit_in_bytes"),
            swappiness=has("memory.swappiness"),
            oom_kill_disable=has("memory.oom_control"),
            kernel_memory_tcp=has("memory.kmem.tcp.limit_in_bytes"),
            cpu_shares=has("cpu.shares"),
            cpu_quota=has("cpu.cfs_quota_us"),
            cpu_period=has("cpu.cfs_period_us"),
            cpu_realtime=has("cpu.rt_runtime_us") and has("cpu.rt_period_us"),
            cpuset=has("cpuset.cpus"),
            cpus=(files.read_if_there(place("cpuset.cpus")) or "").strip(),
            mems=(files.read_if_there(place("cpuset.mems")) or "").strip(),
            pids_limit="pids" in self.controllers,  # the root has no limit to show
            blkio_weight=has("blkio.weight") or has("blkio.bfq.weight"),
            blkio_weight_device=has("blkio.weight_device") or has("blkio.bfq.weight_device"),
            read_bps=has("blkio.throttle.read_bps_device"),
            write_bps=has("blkio.throttle.write_bps_device"),
            read_iops=has("blkio.throttle.read_iops_device"),
            write_iops=has("blkio.throttle.write_iops_device"),
            devices="devices" in self.controllers,
            freezer="freezer" in self.controllers,
            hugetlb="hugetlb" in self.controllers,
        )

    def missing(self) -> list[str]:
        return warnings(self.features())

    def remove_if_empty(self, path: str) -> None:
        remove_if_empty(tree.folder(paths.parse(path)) for tree in self._hierarchies)


def remove_if_empty(found: Iterable[str]) -> None:
    """Delete groups that have neither processes nor groups below."""
    for folder in found:
        with suppress(OSError):
            os.rmdir(folder)


def fill_cpuset(folder: str, mount: str) -> None:
    """Give a group the CPUs and memory nodes of the one above; with none nobody can join it.

    Groups below it will have them by themselves, which saves asking. The one above may be somebody
    else's, who has not come so far yet.
    """
    above = os.path.dirname(folder)
    inherited = True
    for name in ("cpuset.cpus", "cpuset.mems"):
        if files.read(f"{folder}/{name}").strip():
            continue
        inherited = False
        from_above = files.read(f"{above}/{name}").strip()
        if not from_above and above != mount:
            fill_cpuset(above, mount)
            from_above = files.read(f"{above}/{name}").strip()
        if not from_above:
            raise CgroupUnavailable(f"{above} has no {name} to hand down")
        files.write(f"{folder}/{name}", from_above)
    if not inherited:
        files.write(f"{folder}/cgroup.clone_children", "1")
