"""Groups that systemd makes: scopes, on a machine with cgroup v2 that it has started.

A path in systemd's words (`system.slice:boxship:<id>`) asks for one; all others are folders as
elsewhere. systemd makes a scope for processes that are there. So a holder, a program of a few
instructions that waits for the end of its input, is the first in it, until the container's is; and
systemd removes a scope when its last process has ended.

systemd sets the limits of a unit anew when it likes, so it is told those that it knows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

from boxship.kernel import processes
from boxship.kernel.syscalls import MACHINE
from boxship.runtime.cgroups import bus, folders, paths, plan_v2
from boxship.runtime.cgroups.bus import Property
from boxship.runtime.cgroups.errors import CgroupUnavailable
from boxship.runtime.cgroups.features import Features
from boxship.runtime.cgroups.tree import EMPTY_WITHIN, Cgroup
from boxship.runtime.cgroups.v2 import V2Group, V2Tree
from boxship.runtime.small_init import ELF_MACHINE, program
from boxship.spec.oci import runtime

BOOTED: Final = "/run/systemd/system"
MADE_WITHIN: Final = 20.0  # seconds until the holder is in its scope
HOLDER: Final = {  # read(0, ..., 1), exit_group(0)
    "x86_64": bytes.fromhex("31c031ff488d7424f8ba010000000f0531ffb8e70000000f05"),
    "aarch64": bytes.fromhex("000080d2e14300d1220080d2e80780d2010000d4000080d2c80b80d2010000d4"),
}
INFINITY: Final = (1 << 64) - 1
SECOND: Final = 1_000_000  # microseconds


def is_booted() -> bool:
    """Whether systemd has started this machine."""
    return os.path.isdir(BOOTED)


def unit_of(path: str) -> tuple[str, str] | None:
    """Return slice and scope that a path in systemd's words means; None for other paths."""
    if path.count(":") != 2 or "/" in path:
        return None
    slice_name, prefix, name = path.split(":")
    if name.endswith(".slice"):
        return None
    return slice_name or "system.slice", f"{prefix}-{name}.scope" if prefix else f"{name}.scope"


class ScopeGroup(V2Group):
    """A scope's folder."""

    def __init__(self, path: str, folder: str, unit: str, socket: str) -> None:
        super().__init__(path, folder)
        self._unit = unit
        self._socket = socket
        self._holder: Holder | None = None

    def make(self, slice_name: str, resources: runtime.Resources | None) -> None:
        """Have the scope made, with limits."""
        self._holder = Holder()
        try:
            with bus.connected(self._socket) as manager:
                manager.start_scope(
                    self._unit,
                    [
                        ("Description", ("s", f"Boxship container {self._unit}")),
                        ("Slice", ("s", slice_name)),
                        ("Delegate", ("b", True)),
                        ("DefaultDependencies", ("b", False)),
                        ("CollectMode", ("s", "inactive-or-failed")),
                        ("PIDs", ("au", [self._holder.pid])),
                        *known(resources or runtime.Resources()),
                    ],
                )
            self._wait_until_held(self._holder.pid)
            if resources is not None:
                self.begin(resources)
        except BaseException:
            self.let_go()
            raise

    def _wait_until_held(self, pid: int) -> None:
        deadline = time.monotonic() + MADE_WITHIN
        wanted = f"0::{self.path}\n"
        while True:
            with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
                if file.read().endswith(wanted):
                    return
            if time.monotonic() > deadline:
                raise CgroupUnavailable(f"systemd did not make {self._unit} within 20 seconds")
            time.sleep(0.001)

    def let_go(self) -> None:
        """Have the holder end: the container's process is there, or none will be."""
        if self._holder:
            self._holder.end()
            self._holder = None

    def update(self, resources: runtime.Resources) -> None:
        if told := list(known(resources)):
            with bus.connected(self._socket) as manager:
                manager.set_properties(self._unit, told)
        super().update(resources)

    def remove(self, within: float = EMPTY_WITHIN) -> None:
        self.let_go()
        super().remove(within)


class ScopeTree:
    """The tree of v2, where systemd makes those groups that are asked for in its words."""

    version = 2

    def __init__(self, tree: V2Tree, socket: str = bus.SOCKET) -> None:
        self._tree = tree
        self._socket = socket

    @property
    def controllers(self) -> frozenset[str]:
        """Return the controllers that the tree can hand to groups."""
        return self._tree.controllers

    def create(self, path: str, resources: runtime.Resources | None = None) -> Cgroup:
        unit = unit_of(path)
        if unit is None:
            return self._tree.create(path, resources)
        group = self._scope(path, unit[1])
        if group.exists() and not group.pids():
            folders.delete(group.folder)  # systemd would, in a moment
        group.make(unit[0], resources)
        return group

    def open(self, path: str) -> Cgroup:
        unit = unit_of(path)
        return self._tree.open(path) if unit is None else self._scope(path, unit[1])

    def _scope(self, path: str, unit: str) -> ScopeGroup:
        group = self._tree.open(path)
        return ScopeGroup(group.path, group.folder, unit, self._socket)

    def features(self) -> Features:
        return self._tree.features()

    def missing(self) -> list[str]:
        return self._tree.missing()

    def remove_if_empty(self, path: str) -> None:
        if not paths.parse(path).endswith(".slice"):
            self._tree.remove_if_empty(path)


class Holder:
    """A process that does nothing, until it is told to end."""

    def __init__(self) -> None:
        code = os.memfd_create("boxship-holder", os.MFD_CLOEXEC)
        reading, self._tells = os.pipe2(os.O_CLOEXEC)
        try:
            with open(code, "wb", buffering=0, closefd=False) as file:
                file.write(program(HOLDER[MACHINE], ELF_MACHINE[MACHINE]))
            path = f"/proc/{os.getpid()}/fd/{code}"
            actions = [(os.POSIX_SPAWN_DUP2, reading, 0)]
            self.pid = os.posix_spawn(path, ["boxship-holder"], {}, file_actions=actions)
        except BaseException:
            os.close(self._tells)
            raise
        finally:
            os.close(code)
            os.close(reading)

    def end(self) -> None:
        """End it, and wait for that."""
        os.close(self._tells)
        try:
            pidfd = processes.open_pidfd(self.pid)
            processes.has_ended(pidfd, 5)
            os.close(pidfd)
            os.waitpid(self.pid, os.WNOHANG)
        except (ProcessLookupError, ChildProcessError):
            pass  # it was waited for by whoever waits for all children


def let_go(group: Cgroup) -> None:
    """Say that a container's first process is in its group."""
    if isinstance(group, ScopeGroup):
        group.let_go()


def known(resources: runtime.Resources) -> Iterator[Property]:
    """Yield what systemd has words for among some limits."""
    written = {write.file: write.value for write in plan_v2.writes(resources, lambda _: None)}
    for file, name in (
        ("memory.max", "MemoryMax"),
        ("memory.low", "MemoryLow"),
        ("memory.swap.max", "MemorySwapMax"),
        ("pids.max", "TasksMax"),
        ("cpu.weight", "CPUWeight"),
    ):
        if file in written:
            yield name, ("t", _amount(written[file]))
    if "cpu.max" in written:
        quota, _, period = written["cpu.max"].partition(" ")
        length = int(period or 100_000)
        each = INFINITY if quota == "max" else int(quota) * SECOND // length
        yield "CPUQuotaPeriodUSec", ("t", length)
        yield "CPUQuotaPerSecUSec", ("t", each)


def _amount(text: str) -> int:
    return INFINITY if text == "max" else int(text)
