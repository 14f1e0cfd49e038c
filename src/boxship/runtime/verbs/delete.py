"""delete: what is kept of a container that has ended."""

from __future__ import annotations

from typing import Final

from boxship.errors import BoxshipError
from boxship.kernel import processes
from boxship.runtime import flags, hooks
from boxship.runtime.cgroups.waiting import attempts
from boxship.runtime.errors import WrongState
from boxship.runtime.standing import Folder, Standing
from boxship.runtime.verbs.call import Call, group_of, report

GONE_WITHIN: Final = 10.0  # seconds for a killed process to have ended


def delete(call: Call) -> int:
    """Remove what is kept of a container that has ended; by force, end it first."""
    folder = call.folder()
    force = flags.given(call.flags, "force")
    try:
        made = folder.read()
    except BoxshipError:
        if force:
            folder.remove()
            return 0
        raise
    status = folder.status(made)
    if status not in ("stopped", "created") and not force:
        raise WrongState(f"cannot delete container {made.id} that is not stopped: {status}")
    if status != "stopped":
        group_of(made).kill()
        wait_gone(made)
    remove(folder, made)
    return 0


def wait_gone(made: Standing) -> None:
    """Wait until a killed process, which is not our child, has ended."""
    for _ in attempts(GONE_WITHIN, 0.001, 0.01):
        if not processes.is_alive(made.pid, made.started):
            return
    raise WrongState(f"the process {made.pid} does not end")


def remove(folder: Folder, made: Standing) -> None:
    """Remove cgroup and folder, and tell the hooks."""
    spec = folder.spec()
    group = group_of(made)
    group.kill()  # what it left running, where it had no pid namespace of its own
    group.remove()
    last = folder.state(made, spec.annotations)
    folder.remove()
    if spec.hooks:
        report(hooks.run_late("poststop", spec.hooks.poststop, last))
