"""start: the program of a container that was created."""

from __future__ import annotations

import os

import msgspec

from boxship.runtime import hooks
from boxship.runtime.api import Init
from boxship.runtime.errors import WrongState
from boxship.runtime.verbs.call import Call, open_process, report


def start(call: Call) -> int:
    """Let a created container's program run."""
    folder = call.folder()
    made, spec = folder.read(), folder.spec()
    if folder.status(made) != "created":
        raise WrongState(f"cannot start a container in the {folder.status(made)} state")
    state = folder.state(made, spec.annotations)
    if hooks.any_inside(spec.hooks):
        with open_process(made) as pidfd:
            call.runtime().run_hooks_inside(spec, Init(made.pid, pidfd), state)
    gate = os.open(folder.gate, os.O_WRONLY | os.O_CLOEXEC)
    os.unlink(folder.gate)  # first: whoever asks from now on sees it running
    os.write(gate, b"g")
    os.close(gate)
    if spec.hooks:
        running = msgspec.structs.replace(state, status="running")
        report(hooks.run_late("poststart", spec.hooks.poststart, running))
    return 0
