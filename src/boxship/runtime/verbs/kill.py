"""kill: signals for a container's processes."""

from __future__ import annotations

import signal

from boxship.errors import InvalidRequest
from boxship.kernel import processes
from boxship.runtime import flags
from boxship.runtime.errors import WrongState
from boxship.runtime.verbs.call import Call, group_of, open_process


def kill(call: Call) -> int:
    """Send a signal to the first process, or to all."""
    folder = call.folder()
    made = folder.read()
    number = signal_number(call.words[1] if len(call.words) > 1 else "SIGTERM")
    if flags.given(call.flags, "all"):
        for pid in group_of(made).pids():
            processes.kill(pid, number)
        return 0
    if folder.status(made) == "stopped":
        raise WrongState("container not running")
    with open_process(made) as pidfd:
        processes.send_signal(pidfd, number)
    return 0


def signal_number(word: str) -> int:
    """Read a signal: a number, or a name with or without SIG."""
    if word.isdigit():
        return int(word)
    try:
        return signal.Signals[f"SIG{word.upper().removeprefix('SIG')}"].value
    except KeyError:
        raise InvalidRequest(f"unknown signal {word!r}") from None
