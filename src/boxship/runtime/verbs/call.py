"""One call of the command, and what several verbs do alike."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from boxship.errors import InvalidRequest
from boxship.kernel import processes
from boxship.runtime import cgroups, flags
from boxship.runtime.api import Init, Stdio
from boxship.runtime.cgroups import Cgroup
from boxship.runtime.errors import BadBundle, StartFailed, WrongState
from boxship.runtime.flags import Flags
from boxship.runtime.native import NativeRuntime
from boxship.runtime.plans import Terms
from boxship.runtime.standing import Folder, Standing
from boxship.spec.oci import runtime as oci

STREAMS: Final = Stdio(0, 1, 2)

# A created container waits in this process's memory, which must stay as it is when we end.
_KEPT: Final[list[NativeRuntime]] = []


class Call:
    """One call of the command: its flags and words."""

    def __init__(self, root: str, given: Flags, words: list[str]) -> None:
        self.root = root
        self.flags = given
        self.words = words

    def folder(self) -> Folder:
        if not self.words:
            raise InvalidRequest("container id cannot be empty")
        return Folder(self.root, self.words[0])

    def runtime(self, gate: int | None = None) -> NativeRuntime:
        """Return a runtime whose processes outlive this one."""
        kept = (flags.number(self.flags, "preserve-fds") or 0) + _listening()
        terms = Terms(
            kept=kept,
            gate=gate,
            dies_with_us=False,
            pivot=not flags.given(self.flags, "no-pivot"),
            new_keyring=not flags.given(self.flags, "no-new-keyring"),
            hooks_inside=False,
        )
        runtime = NativeRuntime(terms=terms, filters=os.path.join(self.root, ".filters"))
        _KEPT.append(runtime)
        return runtime


def _listening() -> int:
    """Return how many sockets whoever started us hands on in systemd's way."""
    count = os.environ.get("LISTEN_FDS", "")
    return int(count) if count.isdigit() and int(count) < 1024 else 0


def read_spec(bundle: str) -> oci.Spec:
    """Read a bundle's `config.json`."""
    try:
        return msgspec.json.decode(read(f"{bundle}/config.json"), type=oci.Spec)
    except msgspec.DecodeError as failure:
        raise BadBundle(f"config.json: {failure}") from failure


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def group_of(made: Standing) -> Cgroup:
    return cgroups.detect().open(made.cgroup)


@contextmanager
def open_process(made: Standing) -> Iterator[int]:
    """A descriptor of a container's first process, if it is still the one that was created."""
    try:
        pidfd = processes.open_pidfd(made.pid)
    except ProcessLookupError:
        raise WrongState("container not running") from None
    try:
        if not processes.is_alive(made.pid, made.started):
            raise WrongState("container not running")
        yield pidfd
    finally:
        os.close(pidfd)


def hand_over(call: Call, init: Init) -> None:
    """Send a terminal to whoever listens for it."""
    if init.terminal is None:
        return
    path = flags.text(call.flags, "console-socket")
    if not path:
        raise StartFailed("cannot allocate tty if runc will detach without setting console socket")
    with socket.socket(socket.AF_UNIX) as there:
        there.connect(path)
        socket.send_fds(there, [b"/dev/ptmx"], [init.terminal])
    os.close(init.terminal)


def write_pid(call: Call, pid: int) -> None:
    """Write the pid where it was asked for; whoever waits for the file finds it whole."""
    if path := flags.text(call.flags, "pid-file"):
        beside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}")
        with open(beside, "w", encoding="ascii") as file:
            file.write(str(pid))
        os.rename(beside, path)


def show(document: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def report(lines: Sequence[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)
