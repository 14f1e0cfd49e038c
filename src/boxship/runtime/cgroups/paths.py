"""Where a container's control group lies, from the runtime config's `cgroupsPath`.

/boxship/<id>              below the mounted tree
some/where                 below the group that we run in ourselves
system.slice:boxship:<id>  systemd's words: /system.slice/boxship-<id>.scope
"""

from __future__ import annotations

import re
from typing import Final

from boxship.runtime.cgroups.errors import BadCgroupPath

NAME_LONGEST: Final = 255
PATH_LONGEST: Final = 3000  # a mount point, a file name and a container's id still fit PATH_MAX
SLICE: Final = re.compile(r"(?:[A-Za-z0-9:_.\\]+-)*[A-Za-z0-9:_.\\]+\.slice")


def parse(text: str) -> str:
    """Return the folder that `text` means: absolute in the tree, or relative to our own group."""
    if text.count(":") == 2 and "/" not in text:
        text = of_scope(*text.split(":"))
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or len(text) > PATH_LONGEST or not all(map(is_name, parts)):
        raise BadCgroupPath(text)
    return ("/" if text.startswith("/") else "") + "/".join(parts)


def is_name(part: str) -> bool:
    """Say whether the kernel takes `part` as a group's name, and it stays where it is put."""
    return part != ".." and len(part.encode()) <= NAME_LONGEST and not set(part) & {"\n", "\0"}


def of_scope(slice_name: str, prefix: str, name: str) -> str:
    """Return the folder that systemd gives a scope (or, for a name in .slice, a slice)."""
    unit = (
        name if name.endswith(".slice") else f"{prefix}-{name}.scope" if prefix else f"{name}.scope"
    )
    return of_slice(slice_name or "system.slice") + "/" + unit


def of_slice(name: str) -> str:
    """Return a slice's folder: `a-b.slice` lies in `a.slice`, and `-.slice` is the root."""
    if name == "-.slice":
        return ""
    if not SLICE.fullmatch(name):
        raise BadCgroupPath(name)
    parts = name.removesuffix(".slice").split("-")
    return "".join(f"/{'-'.join(parts[: n + 1])}.slice" for n in range(len(parts)))
