"""The engine with named points before and after its durable steps, at which it fails once.

Run as a program in place of the daemon's own: FAIL_AT names the point, FAIL_BY what happens there:
`kill`, `error`, `delay`, or `orphan`, where the parent is killed, which is noticed late. Hits are
noted in the file FAIL_NOTES, and beside it, so that of all shims one fails. The product has nothing
of this: its functions are wrapped from outside.
"""

from __future__ import annotations

import errno
import functools
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from boxship.kernel import processes

# "module:qualified name"; each has a point before and one after it
STEPS = {
    "a record is committed": "boxship.store.database:Database._commit",
    "a container is kept": "boxship.container.tables:Table.put",
    "a container is dropped": "boxship.container.tables:Table.drop",
    "a volume is kept": "boxship.volume.tables:Table.put",
    "a volume is dropped": "boxship.volume.tables:Table.delete",
    "a network is kept": "boxship.network.tables:Table.put",
    "a network is dropped": "boxship.network.tables:Table.delete",
    "a file appears": "boxship.lib.atomicfile:write",
    "a blob is committed": "boxship.content.store:Blobs.commit",
    "a blob is flushed": "boxship.content.store:Blobs.flush",
    "a blob is deleted": "boxship.content.store:Blobs.delete",
    "a layer is unpacked": "boxship.snapshot.snapshots:Snapshots.unpack",
    "a layer is committed": "boxship.snapshot.snapshots:Snapshots.commit",
    "a layer is removed": "boxship.snapshot.snapshots:Snapshots.remove_layer",
    "a root is prepared": "boxship.snapshot.snapshots:Snapshots.prepare",
    "a root is removed": "boxship.snapshot.snapshots:Snapshots.remove",
    "an image is tagged": "boxship.image.images:Images.tag",
}
SHIM_STEPS = {
    "a shim says where it stands": "boxship.shim.record:write_standing",
    "a shim notes its program": "boxship.shim.record:add_init",
    "a log is opened": "boxship.shim.container:open_journal",
    "a container's group is removed": "boxship.shim.host:ThisHost.delete",
    "an exit is noted": "boxship.shim.record:write_exit",
    "a shim's folder is removed": "boxship.shim.record:remove_folder",
    "a group is made": "boxship.runtime.plans:Plans.make_group",
}
POINTS = [
    f"{when} {step}" for steps in (STEPS, SHIM_STEPS) for step in steps
    for when in ("before", "after")
]  # fmt: skip
SHIM = "tests.support.failing_shim"
DELAY = 5.0
LATE = 1.0


def wrap(step: str, place: str, hit: Callable[[str], None]) -> None:
    """Put both points around a function."""
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def around(*arguments: Any, **options: Any) -> Any:
        hit(f"before {step}")
        value = inner(*arguments, **options)
        hit(f"after {step}")
        return value

    setattr(owner, name, around)


def failing(point: str, way: str, notes: str) -> Callable[[str], None]:
    """Return what notes each point, and fails once at one."""
    lock = threading.Lock()
    seen: set[str] = set()

    def hit(here: str) -> None:
        with lock:
            fresh = here not in seen
            seen.add(here)
        if not fresh:
            return
        try:
            with open(f"{notes}.{here}", "x", encoding="ascii") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return
        with open(notes, "a", encoding="utf-8") as file:
            file.write(f"{here}\n")
        if here != point:
            return
        match way:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "error":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            case "orphan":
                processes.die_with_parent(0)  # as if all of this were one system call
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(LATE)
            case _:
                time.sleep(DELAY)

    return hit


def wrap_all(steps: Mapping[str, str]) -> None:
    """Put points around all functions of one program, as the environment says."""
    hit = failing(os.environ["FAIL_AT"], os.environ["FAIL_BY"], os.environ["FAIL_NOTES"])
    for step, place in steps.items():
        wrap(step, place, hit)


def main() -> None:
    from boxship.daemon import main as daemon  # its path is what PYTHONPATH says
    from boxship.shim.spawning import Spawner

    wrap_all(STEPS)
    Spawner.__init__.__kwdefaults__.update(entry=SHIM, path=[str(Path(__file__).parents[2])])
    sys.exit(daemon.main())


if __name__ == "__main__":
    main()
