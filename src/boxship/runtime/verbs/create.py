"""create and run: a container's first process."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack

from boxship.kernel import mounts, processes
from boxship.runtime import flags, standing
from boxship.runtime.api import CreateRequest, Init
from boxship.runtime.native import NativeRuntime
from boxship.runtime.standing import Standing
from boxship.runtime.verbs.call import STREAMS, Call, hand_over, read_spec, write_pid
from boxship.runtime.verbs.delete import remove
from boxship.runtime.verbs.start import start


def create(call: Call) -> int:
    """Set a container up to where only the program's start is missing."""
    make(call)
    return 0


def make(call: Call) -> Init:
    """Make a container that waits, and remember it."""
    folder = call.folder()
    bundle = os.path.abspath(flags.text(call.flags, "bundle", "."))
    spec = read_spec(bundle)
    folder.make()
    with ExitStack() as undo:
        undo.callback(folder.remove)
        os.mkfifo(folder.gate, 0o600)
        gate = os.open(folder.gate, os.O_RDWR | os.O_CLOEXEC)
        undo.callback(os.close, gate)
        runtime = call.runtime(gate)
        rootfs = os.path.join(bundle, spec.root.path if spec.root else "rootfs")
        root = mounts.open_tree(rootfs, recursive=True)
        undo.callback(os.close, root)
        mounts.mount_setattr(root, propagation=mounts.MS_PRIVATE, recursive=True)
        init = runtime.create(CreateRequest(folder.name, spec, bundle, root, stdio=STREAMS))
        undo.callback(end, init, runtime, folder.name)
        hand_over(call, init)
        made = Standing(
            folder.name,
            init.pid,
            processes.start_time(init.pid),
            bundle,
            rootfs,
            runtime.group(folder.name).path,
            standing.now(),
        )
        folder.write(made, spec)
        write_pid(call, init.pid)
        undo.pop_all()
    return init


def end(init: Init, runtime: NativeRuntime, name: str) -> None:
    """Take back a container that was made and could not be kept."""
    processes.send_signal(init.pidfd, signal.SIGKILL)
    processes.wait(init.pidfd)
    runtime.delete(name)


def run(call: Call) -> int:
    """Create, start and, unless detached, wait and remove."""
    init = make(call)
    start(call)
    if flags.given(call.flags, "detach"):
        return 0
    folder = call.folder()
    made = folder.read()
    forward_signals(init.pidfd)
    ended = processes.wait(init.pidfd)
    if not flags.given(call.flags, "keep"):
        remove(folder, made)
    return processes.exit_code(ended) if ended else 0


def forward_signals(pidfd: int) -> None:
    """Hand on what we are sent to the program."""

    def hand_on(number: int, _frame: object) -> None:
        processes.send_signal(pidfd, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, hand_on)
