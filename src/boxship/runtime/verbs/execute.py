"""exec: one more program in a container."""

from __future__ import annotations

import msgspec

from boxship.kernel import processes
from boxship.runtime import flags
from boxship.runtime.api import ExecRequest, Init
from boxship.runtime.errors import WrongState
from boxship.runtime.verbs.call import STREAMS, Call, hand_over, open_process, write_pid
from boxship.spec.oci import runtime as oci


def execute(call: Call) -> int:
    """Run one more program inside."""
    folder = call.folder()
    made, spec = folder.read(), folder.spec()
    status = folder.status(made)
    if status not in ("running", "created"):
        raise WrongState(f"cannot exec in a {status} container")
    process = asked_process(call, spec)
    with open_process(made) as pidfd:
        there = Init(made.pid, pidfd)
        init = call.runtime().exec(ExecRequest(folder.name, there, spec, process, STREAMS))
    hand_over(call, init)
    write_pid(call, init.pid)
    if flags.given(call.flags, "detach"):
        return 0
    ended = processes.wait(init.pidfd)
    return processes.exit_code(ended) if ended else 0


def asked_process(call: Call, spec: oci.Spec) -> oci.Process:
    """Return the process described by a file, or by flags as a change to the container's own."""
    if path := flags.text(call.flags, "process"):
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=oci.Process)
    base = spec.process
    assert base is not None
    user, _, group = flags.text(call.flags, "user").partition(":")
    more = [int(gid) for gid in call.flags.get("additional-gids", [])]
    return msgspec.structs.replace(
        base,
        args=call.words[1:],
        env=[*base.env, *call.flags.get("env", [])],
        cwd=flags.text(call.flags, "cwd", base.cwd),
        terminal=flags.given(call.flags, "tty"),
        no_new_privileges=base.no_new_privileges or flags.given(call.flags, "no-new-privs"),
        user=oci.User(uid=int(user), gid=int(group or 0), additional_gids=more)
        if user
        else base.user,
    )
