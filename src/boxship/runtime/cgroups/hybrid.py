"""Both versions side by side: the controllers in v1's trees, or some, and v2's tree for the rest.

Even a v2 tree without a single controller is of use: its groups can be killed in one write.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import fields, replace

from msgspec import structs

from boxship.runtime.cgroups import files, folders, plan_v1, plan_v2, stats
from boxship.runtime.cgroups.errors import ControllerMissing
from boxship.runtime.cgroups.features import Features, warnings
from boxship.runtime.cgroups.tree import EMPTY_WITHIN, Entrance
from boxship.runtime.cgroups.v1 import V1Group, V1Tree
from boxship.runtime.cgroups.v2 import V2Group, V2Tree
from boxship.spec.oci import runtime


class HybridGroup:
    """A container's folders in both versions' trees."""

    def __init__(self, v1: V1Group, v2: V2Group, tree: HybridTree) -> None:
        self._v1 = v1
        self._v2 = v2
        self._tree = tree

    @property
    def _of_v2(self) -> frozenset[str]:
        return self._tree.of_v2

    @property
    def path(self) -> str:
        return self._v1.path

    def exists(self) -> bool:
        return self._v1.exists() or self._v2.exists()

    def update(self, resources: runtime.Resources) -> None:
        for_v1, for_v2 = divide(resources, self._of_v2)
        usage = self._v1.read("memory.usage_in_bytes") or self._v2.read("memory.current")
        files.check_usage(resources, usage)
        old = plan_v1.writes(for_v1, self._v1.read)
        files.change([*old, *plan_v2.writes(for_v2, self._v2.read)], self._place)
        if for_v1.devices:
            self._v1.limit_devices(for_v1.devices, gently=True)
        if for_v2.devices:
            self._v2.limit_devices(for_v2.devices)

    def _place(self, file: str) -> str | None:
        of_v2 = file.partition(".")[0] in self._of_v2
        return self._v2.place(file) if of_v2 else self._v1.place(file)

    def join_files(self) -> list[int]:
        with ExitStack() as undo:
            opened = self._v1.join_files()
            for descriptor in opened:
                undo.callback(os.close, descriptor)
            opened += self._v2.join_files()
            undo.pop_all()
        return opened

    def entrance(self) -> Entrance:
        way = self._v2.entrance()
        try:
            return Entrance(way.into, self._v1.join_files())
        except BaseException:
            if way.into is not None:
                os.close(way.into)
            raise

    def add(self, pid: int) -> None:
        self._v1.add(pid)
        self._v2.add(pid)

    def freeze(self) -> None:
        try:
            self._v1.freeze()
        except ControllerMissing:
            self._v2.freeze()

    def thaw(self) -> None:
        with suppress(ControllerMissing):
            self._v1.thaw()
        self._v2.thaw()

    @property
    def frozen(self) -> bool:
        return self._v1.frozen or self._v2.frozen

    def kill(self) -> None:
        """Kill by v2, and let v1's freezer go, under which nobody dies."""
        self._v2.kill()
        with suppress(ControllerMissing, FileNotFoundError):
            self._v1.thaw()

    def pids(self) -> list[int]:
        return self._v2.pids()

    def stats(self) -> stats.CgroupStats:
        """Take each part from the version that counts it, in v1's form."""
        old, new = self._v1.stats(), self._v2.stats()
        return stats.CgroupStats(
            unified=False,
            cpu=old.cpu or new.cpu,
            memory=old.memory or new.memory,
            pids=old.pids or new.pids,
            blkio=old.blkio or new.blkio,
        )

    def oom_watch(self) -> int | None:
        return self._v2.oom_watch() if "memory" in self._of_v2 else self._v1.oom_watch()

    def oom_kills(self) -> int:
        return self._v2.oom_kills() if "memory" in self._of_v2 else self._v1.oom_kills()

    def remove(self, within: float = EMPTY_WITHIN) -> None:
        self._v2.remove(within)  # it can tell when it has emptied
        self._v1.remove(within)


class HybridTree:
    """v1's trees with v2's beside them."""

    version = 1

    def __init__(self, v1: V1Tree, v2: V2Tree) -> None:
        self._v1 = v1
        self._v2 = v2

    @property
    def controllers(self) -> frozenset[str]:
        return self._v1.controllers | self._v2.controllers

    def create(self, path: str, resources: runtime.Resources | None = None) -> HybridGroup:
        of_v2 = self.of_v2
        by_program = "devices" in of_v2
        for_v1 = for_v2 = None
        if resources is not None:
            for_v1, for_v2 = divide(resources, of_v2)
        with folders.all_or_none() as made:
            old = self._v1.create_in(made, path, for_v1, limit_devices=not by_program)
            new = self._v2.create_in(made, path, for_v2, limit_devices=by_program)
        return HybridGroup(old, new, self)

    def open(self, path: str) -> HybridGroup:
        return HybridGroup(self._v1.open(path), self._v2.open(path), self)

    @property
    def of_v2(self) -> frozenset[str]:
        """What v2 has to see to now; devices need no controller there."""
        return self._v2.controllers | ({"devices"} - self._v1.controllers)

    def features(self) -> Features:
        """What either version can do."""
        old, new = self._v1.features(), self._v2.features()
        either = {f.name: getattr(old, f.name) or getattr(new, f.name) for f in fields(Features)}
        return replace(Features(**either), unified=False)

    def missing(self) -> list[str]:
        return warnings(self.features())

    def remove_if_empty(self, path: str) -> None:
        self._v1.remove_if_empty(path)
        self._v2.remove_if_empty(path)


def divide(
    asked: runtime.Resources, of_v2: frozenset[str]
) -> tuple[runtime.Resources, runtime.Resources]:
    """Return what v1 and what v2 has to set, given the controllers that are v2's."""
    if not of_v2:
        return asked, runtime.Resources()
    old, new = structs.replace(asked, unified={}), runtime.Resources(unified=asked.unified)
    if "devices" in of_v2:
        old.devices, new.devices = [], asked.devices
    if "memory" in of_v2:
        old.memory, new.memory = None, asked.memory
    if "pids" in of_v2:
        old.pids, new.pids = None, asked.pids
    if "io" in of_v2:
        old.block_io, new.block_io = None, asked.block_io
    if "hugetlb" in of_v2:
        old.hugepage_limits, new.hugepage_limits = [], asked.hugepage_limits
    if asked.cpu is not None and of_v2 & {"cpu", "cpuset"}:
        set_part = structs.replace(asked.cpu, cpus="", mems="")
        set_only = runtime.CPU(cpus=asked.cpu.cpus, mems=asked.cpu.mems)
        cpu = asked.cpu if "cpuset" in of_v2 else set_part
        if "cpu" in of_v2:
            new.cpu, old.cpu = cpu, None if "cpuset" in of_v2 else set_only
        else:
            new.cpu, old.cpu = set_only, set_part
    return old, new
