"""Which control group trees this machine has mounted, and where we are in them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

ESCAPE: Final = re.compile(r"\\([0-7]{3})")
HOME: Final = "/sys/fs/cgroup"
OPTIONS: Final = frozenset(  # of a v1 mount that are no controllers
    ("rw", "ro", "xattr", "clone_children", "noprefix", "none", "cpuset_v2_mode")
)


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted tree. `own` is the folder, below `mount`, of the process that asked."""

    mount: str
    own: str
    controllers: frozenset[str]  # empty for v2, which says itself what it has
    unified: bool

    def folder(self, path: str) -> str:
        """Return where the group `path` lies in this tree."""
        return self.mount + path if path.startswith("/") else f"{self.mount}{self.own}/{path}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The trees: those of v1, each with its controllers, and the one of v2."""

    v1: tuple[Hierarchy, ...]
    v2: Hierarchy | None


def here() -> Layout:
    """Read the layout that this process sees."""
    with open("/proc/self/mountinfo") as mounts, open("/proc/self/cgroup") as own:
        return read(mounts.read(), own.read())


def read(mountinfo: str, membership: str) -> Layout:
    """Work out the layout from /proc/self/mountinfo and /proc/self/cgroup.

    A controller that is mounted several times counts once; the usual place is preferred.
    """
    groups = dict(memberships(membership))
    found = sorted(mounted(mountinfo).items(), key=lambda entry: not entry[0].startswith(HOME))
    v1: list[Hierarchy] = []
    v2: Hierarchy | None = None
    taken: set[str] = set()
    for mount, (kind, root, options) in found:
        if kind == "cgroup2":
            v2 = v2 or Hierarchy(mount, below(groups.get("", "/"), root), frozenset(), True)
            continue
        controllers = frozenset(options) - OPTIONS
        controllers = frozenset(c for c in controllers if c in groups)
        if controllers and not controllers & taken:
            taken |= controllers
            own = below(groups[min(controllers)], root)
            v1.append(Hierarchy(mount, own, controllers, False))
    return Layout(tuple(v1), v2)


def mounted(mountinfo: str) -> Mapping[str, tuple[str, str, list[str]]]:
    """Map each mount point of a control group tree to type, root and options of what is on top."""
    found: dict[str, tuple[str, str, list[str]]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        _, _, _, root, mount, *_ = map(unescape, before.split(" "))
        found.pop(mount, None)  # what comes later lies on top
        if kind in ("cgroup", "cgroup2"):
            found[mount] = kind, root, options.split(",")
    return found


def memberships(text: str) -> Iterator[tuple[str, str]]:
    """Yield controller and group; v2's controller is the empty name."""
    for line in text.splitlines():
        _, controllers, group = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, group


def below(group: str, root: str) -> str:
    """Return `group` as seen from a mount that shows only what is below `root`."""
    relative = posixpath.relpath(group, root)
    return "" if relative == "." or relative.startswith("..") else f"/{relative}"


def unescape(field: str) -> str:
    return ESCAPE.sub(lambda found: chr(int(found[1], 8)), field)
