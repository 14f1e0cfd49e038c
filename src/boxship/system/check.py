"""The leak ledger: what on this host carries the engine's marks and belongs to nothing it knows.

Every part may add its own list by a `leftovers` method; the kernel's view of mounts, control groups
and folders is taken here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.system.needs import Leftovers

CGROUP_ROOT: Final = "/sys/fs/cgroup"
ID_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class Known:
    """The containers there are now, and those of them that have a process."""

    all: Collection[str]
    running: Collection[str]


@dataclass(frozen=True, slots=True)
class Check:
    """Compares what the engine knows with what the host has."""

    known: Callable[[], Known]
    containers: str  # folder of all containers' folders
    keepers: str  # folder of all shims' folders
    shm: str
    data_root: str
    exec_root: str
    cgroup_parent: str
    parts: Sequence[Leftovers] = ()

    def run(self) -> list[str]:
        """Return one sentence for each thing that should not be there; none is clean."""
        known = self.known()
        found = [
            *folders(self.containers, known.all, "container folder {} has no record"),
            *folders(self.keepers, known.running, "shim folder {} has no running container"),
            *folders(self.shm, known.running, "shared memory {} has no running container"),
            *mounts(self.data_root, self.exec_root, known.running),
            *control_groups(self.cgroup_parent, known.running),
        ]
        for part in self.parts:
            found += part.leftovers()
        return found


def folders(folder: str, known: Collection[str], sentence: str) -> Iterator[str]:
    """Yield what is in a folder and named for no container that is known."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    yield from (sentence.format(name) for name in sorted(names) if name not in known)


def mounts(data_root: str, exec_root: str, running: Collection[str]) -> Iterator[str]:
    """Yield mounts below the engine's roots that no running container accounts for."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split(" ", 5)[4] for line in file]
    for point in points:
        for root in (f"{data_root}/containers/", f"{data_root}/snapshots/", f"{exec_root}/"):
            if point.startswith(root) and not any(part in running for part in point.split("/")):
                yield f"mount at {point} belongs to no running container"


def control_groups(parent: str, running: Collection[str]) -> Iterator[str]:
    """Yield groups below the engine's own parent that are named for no running container."""
    seen: set[str] = set()
    for top in (CGROUP_ROOT, *_hierarchies()):
        folder = os.path.join(top, parent.strip("/"))
        try:
            names = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
        except OSError:
            continue
        for name in names:
            one = name.removeprefix("boxship-").removesuffix(".scope")  # as systemd's are called
            if len(one) == ID_LENGTH and one not in running and name not in seen:
                seen.add(name)
                yield f"control group {os.path.join(parent, name)} has no running container"


def _hierarchies() -> Iterator[str]:
    try:
        with os.scandir(CGROUP_ROOT) as entries:
            yield from (entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
