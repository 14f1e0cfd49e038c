"""What every version of control groups offers: a tree that makes groups, and a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from boxship.runtime.cgroups.features import Features
from boxship.runtime.cgroups.stats import CgroupStats
from boxship.spec.oci import runtime

EMPTY_WITHIN = 5.0  # seconds that `remove` waits for killed processes to be gone
FROZEN_WITHIN = 10.0  # seconds; a task deep in the kernel takes its time


@dataclass(frozen=True, slots=True)
class Entrance:
    """Descriptors, the caller's to close: with `into` a process is born into v2's group by
    clone3's CLONE_INTO_CGROUP, to each of `files` it writes "0" to come into those of v1.
    """

    into: int | None
    files: list[int]


class Cgroup(Protocol):
    """One container's group, in all the trees there are."""

    @property
    def path(self) -> str:
        """Return the group's path below the mounted tree."""

    def exists(self) -> bool: ...

    def update(self, resources: runtime.Resources) -> None:
        """Set the limits named, and leave the others; after a refusal all are as before."""

    def join_files(self) -> list[int]:
        """Open what a process writes "0" to, each of them, to come in; the caller closes them.

        In v2's tree this waits for a lock over all processes: 10 ms are nothing unusual.
        """

    def entrance(self) -> Entrance:
        """Open the way in for a process that is yet to be made."""

    def add(self, pid: int) -> None:
        """Bring a process in."""

    def freeze(self) -> None:
        """Stop every process; returns when all have stopped, raises TimeoutError when not."""

    def thaw(self) -> None: ...

    @property
    def frozen(self) -> bool: ...

    def kill(self) -> None:
        """SIGKILL every process, also one that forks meanwhile; does not wait for their end."""

    def pids(self) -> list[int]:
        """Return every process, those in groups below included."""

    def stats(self) -> CgroupStats: ...

    def oom_watch(self) -> int | None:
        """Open a descriptor that turns readable when memory ran out, and when the group goes.

        Its reader takes what there is to read and asks `oom_kills`. None without a memory
        controller, or when the group is gone.
        """

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed here for want of memory."""

    def remove(self, within: float = EMPTY_WITHIN) -> None:
        """Delete the group and those below it, waiting until its processes have ended.

        A group that is gone is no error; one that does not empty raises CgroupBusy.
        """


class CgroupTree(Protocol):
    """All of this machine's trees, whatever their version."""

    @property
    def version(self) -> int:
        """Return 1 or 2, as `info` shows it; a mixture counts as 1."""

    def create(self, path: str, resources: runtime.Resources | None = None) -> Cgroup:
        """Make a group with limits; with no `resources` one that limits nothing, not even devices.

        An empty group left behind is replaced. Fails with nothing left.
        """

    def open(self, path: str) -> Cgroup:
        """Return a group that exists or existed."""

    def features(self) -> Features: ...

    def missing(self) -> Sequence[str]:
        """Return the warnings that `info` shows for what this machine cannot limit."""

    def remove_if_empty(self, path: str) -> None:
        """Delete a group that has neither processes nor groups below, such as a parent of ours."""
