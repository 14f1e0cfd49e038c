"""What a plan needs from the host before it can be made: copies of bind sources, mount points.

This is the part of a start that happens in the runtime itself, with the host in reach. Mount
points are made in the detached root by descriptor; those that will lie on another new filesystem
are made by the plan.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType

from msgspec import Struct

from boxship.kernel import mounts as kernel
from boxship.kernel import paths
from boxship.runtime import holding, options
from boxship.runtime.errors import BadBundle, StartFailed, exit_code_of
from boxship.runtime.options import Options
from boxship.spec.oci import runtime as oci

# Below /proc, only these may be mounted over: they show numbers and command nothing.
OVER_PROC = frozenset(
    f"/proc/{name}"
    for name in (
        "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
        "net/dev", "sys/kernel/ns_last_pid", "sys/crypto/fips_enabled",
    )
)  # fmt: skip


class Source(Struct, frozen=True):
    """A mount of the bundle, with what was found on the host.

    `tree` is a detached copy for a bind, -1 for a new filesystem. `covered_by` is the mount point
    above on which the target is to be made by the plan; empty when it is there. `mode` is the
    target folder's, -1 when there was none before.
    """

    mount: oci.Mount
    destination: str
    options: Options
    tree: int = -1
    is_folder: bool = True
    covered_by: str = ""
    mode: int = -1


def clean(path: str) -> str:
    """Return an absolute path without empty, `.` and `..` parts, as text."""
    done: list[str] = []
    for word in path.split("/"):
        if word == "..":
            done = done[:-1]
        elif word not in ("", "."):
            done.append(word)
    return "/" + "/".join(done)


def gather(
    mounts: Sequence[oci.Mount],
    root: int,
    bundle: str,
    undo: ExitStack,
    trees: Mapping[str, int] = MappingProxyType({}),
) -> list[Source]:
    """Look at every mount; descriptors opened are closed by `undo`.

    `trees` has detached mounts by destination, which are taken instead of what the bundle names.
    """
    found: list[Source] = []
    for mount in mounts:
        source = _look(mount, bundle, trees, undo)
        check_over_proc(source)
        above = _covering(found, source.destination)
        if above is None:
            found.append(_with_target(source, root, source.destination, "/"))
        else:
            found.append(_with_covered_target(source, above))
    return found


def _look(mount: oci.Mount, bundle: str, trees: Mapping[str, int], undo: ExitStack) -> Source:
    asked = options.parse(mount.options)
    destination = clean(mount.destination)
    if not (asked.bind or mount.type == "bind"):
        return Source(mount, destination, asked)
    if mount.destination in trees:
        tree = holding.copy(trees[mount.destination], undo)
    else:
        tree = _copied(mount, destination, bundle, asked)
        undo.callback(os.close, tree)
    is_folder = stat.S_ISDIR(os.fstat(tree).st_mode)
    return Source(mount, destination, asked, tree, is_folder)


def _copied(mount: oci.Mount, destination: str, bundle: str, asked: Options) -> int:
    try:
        path = os.path.join(bundle, mount.source)
        return kernel.open_tree(path, recursive=asked.recursive_bind)
    except OSError as failure:
        raise failed(mount, destination, failure) from failure


def check_over_proc(source: Source) -> None:
    """Refuse mounts that would put something else where we, and the kernel's rules, expect proc."""
    where, kind = source.destination, source.mount.type
    if where == "/proc":
        if source.tree >= 0 and not _is_proc(source.tree):
            raise BadBundle(
                f'"{source.mount.source}" cannot be mounted because it is not of type proc'
            )
        if source.tree < 0 and kind != "proc":
            raise BadBundle(
                f'"{source.mount.source}" cannot be mounted because it is not of type proc'
            )
    elif where.startswith("/proc/") and where not in OVER_PROC:
        raise BadBundle(f'"{where}" cannot be mounted because it is inside /proc')


def _is_proc(tree: int) -> bool:
    """Whether a descriptor is of the top of a proc filesystem, which alone has that inode."""
    status = os.fstat(tree)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
        return status.st_ino == 1 and any(
            line.split()[2] == device and " - proc " in line for line in file
        )


def _covering(earlier: Sequence[Source], destination: str) -> Source | None:
    """Return the last mount on which a destination will lie, going by its words."""
    for source in reversed(earlier):
        above = source.destination.rstrip("/")
        if destination == source.destination or destination.startswith(f"{above}/"):
            return source
    return None


def _with_covered_target(source: Source, above: Source) -> Source:
    if above.tree < 0:
        return _covered(source, above.destination)
    relative = source.destination[len(above.destination.rstrip("/")) :] or "/"
    return _with_target(source, above.tree, relative, above.destination)


def _covered(source: Source, above: str) -> Source:
    return Source(
        source.mount, source.destination, source.options, source.tree, source.is_folder, above
    )


def _with_target(source: Source, root: int, path: str, above: str) -> Source:
    """Make the mount point, or leave that to the plan where we may not."""
    try:
        target = paths.open_in_root(root, path, os.O_PATH)
        status = os.fstat(target)
        os.close(target)
        mode = stat.S_IMODE(status.st_mode) if stat.S_ISDIR(status.st_mode) else -1
        return Source(
            source.mount, source.destination, source.options, source.tree, source.is_folder,
            "", mode,
        )  # fmt: skip
    except FileNotFoundError:
        pass
    except OSError as failure:
        raise failed(source.mount, source.destination, failure) from failure
    make = paths.make_folders_in_root if source.is_folder else paths.make_file_in_root
    try:
        os.close(make(root, path))
    except OSError as failure:
        if failure.errno == errno.EXDEV:  # the way leads over another mount of the plan
            return _covered(source, above)
        raise failed(source.mount, source.destination, failure) from failure
    return source


def failed(mount: oci.Mount, destination: str, failure: OSError) -> StartFailed:
    """Return a failure to mount, in the words that clients know."""
    number = failure.errno or 0
    reason = os.strerror(number).lower()
    return StartFailed(
        f'error mounting "{mount.source}" to rootfs at "{destination}": {reason}',
        exit_code_of(number),
    )
