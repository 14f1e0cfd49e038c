"""Starting programs in a process of its own, which is gone when the program runs.

To read a bundle, to plan and to start takes memory that a keeper would have for as long as its
container runs, and needs once. So a copy of the keeper does it: it starts the program as its own
sibling, the keeper's child, answers with its number and what belongs to it, and ends.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec

from boxship.kernel import processes
from boxship.runtime import api
from boxship.runtime.errors import StartFailed
from boxship.shim import fdsocket, protocol
from boxship.shim.needs import Host
from boxship.shim.protocol import RuntimeChoice
from boxship.spec.oci import runtime as oci

NO_FILE: Final = -1
OTHER: Final = 128  # exit code of what failed in a way that no program's start does


class Job(msgspec.Struct, omit_defaults=True):
    """What to start: a bundle's container or, where there is a `process`, one more in it.

    `fds` names the descriptors that come along: root, netns, join.<namespace>, tree.<destination>,
    stdin, stdout, stderr; init for a process in a container that runs.
    """

    container: str
    bundle: str
    runtime: RuntimeChoice
    console_size: tuple[int, int] | None = None
    init_program: bool = False
    process: bytes | None = None
    init: int = 0  # its pid
    fds: list[str] = []
    low: int = 0  # for the planner: see runtime.ahead


class Outcome(msgspec.Struct, omit_defaults=True):
    """What it came to; a pid is 0 where it failed. With it comes a pidfd, and a terminal."""

    pid: int = 0
    warnings: list[str] = []
    message: str = ""
    exit_code: int = OTHER


_SPEC: Final = msgspec.json.Decoder(oci.Spec)
_PROCESS: Final = msgspec.json.Decoder(oci.Process)
_JOB: Final = msgspec.msgpack.Decoder(Job)
_OUTCOME: Final = msgspec.msgpack.Decoder(Outcome)
_ENCODER: Final = msgspec.msgpack.Encoder()


def perform(runtime: api.Runtime, job: Job, given: Mapping[str, int]) -> api.Init:
    """Start what a job says, in this process."""
    _, spec = read_spec(job.bundle)
    if job.process is not None:
        return runtime.exec(exec_request(job, spec, given))
    return runtime.run(create_request(job, spec, given))


def read_spec(bundle: str) -> tuple[bytes, oci.Spec]:
    """Return a bundle's configuration, as it is said and what it means."""
    with open(f"{bundle}/config.json", "rb", buffering=0) as file:
        said = file.read()
    return said, _SPEC.decode(said)


def create_request(job: Job, spec: oci.Spec, given: Mapping[str, int]) -> api.CreateRequest:
    """Return a job that is a container's first process as its runtime takes it."""
    return api.CreateRequest(
        id=job.container,
        spec=spec,
        bundle=job.bundle,
        root=given.get("root", NO_FILE),
        netns=given.get("netns"),
        stdio=_stdio(given),
        console_size=job.console_size,
        init_program=job.init_program,
        join=_named("join.", given),
        trees=_named("tree.", given),
    )


def _named(prefix: str, given: Mapping[str, int]) -> dict[str, int]:
    return {name.removeprefix(prefix): fd for name, fd in given.items() if name.startswith(prefix)}


def exec_request(job: Job, spec: oci.Spec, given: Mapping[str, int]) -> api.ExecRequest:
    """Return a job that is one more process as its runtime takes it."""
    assert job.process is not None
    return api.ExecRequest(
        id=job.container,
        init=api.Init(job.init, given.get("init", NO_FILE)),
        spec=spec,
        process=_PROCESS.decode(job.process),
        stdio=_stdio(given),
        console_size=job.console_size,
    )


def _stdio(given: Mapping[str, int]) -> api.Stdio:
    return api.Stdio(given.get("stdin"), given.get("stdout"), given.get("stderr"))


class StarterKilled(StartFailed):
    """It may have started something; it said nothing any more."""

    def __init__(self) -> None:
        super().__init__("the process that was to start the program was killed", OTHER)


class Starter:
    """A copy of this process that waits for one job."""

    def __init__(self, host: Host) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self.pid = os.fork()
            if self.pid == 0:
                self._ours.close()
                _be_starter(theirs, host)

    def run(self, job: Job, given: Mapping[str, int]) -> api.Init:
        """Have it do the job; StartFailed if that fails, and when the starter dies."""
        return self.begin(job, given).advance()

    def begin(self, job: Job, given: Mapping[str, int]) -> Starter:
        """Say what to do; it will have been done when it `waits_for` something no more."""
        job.fds = list(given)
        body = _ENCODER.encode(job)
        head = protocol.HEADER.pack(protocol.VERSION, len(given), len(body))
        with suppress(OSError):  # it is dead, which shows when it does not answer
            send(self._ours, head + body, list(given.values()))
        return self

    @property
    def waits_for(self) -> list[int]:
        """The descriptor that becomes readable when it has done it, or is dead."""
        return [self._ours.fileno()]

    def advance(self) -> api.Init:
        """Take its answer, for which this waits."""
        with self._ours:
            try:
                answer = receive(self._ours)
            except OSError:
                answer = None
        if answer is None:
            raise StarterKilled
        outcome = _OUTCOME.decode(answer.body)
        if not outcome.pid:
            fdsocket.close_all(answer.fds)
            raise StartFailed(outcome.message, outcome.exit_code)
        pidfd, *terminal = answer.fds
        return api.Init(
            outcome.pid, pidfd, terminal[0] if terminal else None, tuple(outcome.warnings)
        )

    def abandon(self) -> None:
        """Kill it. What it has started by then is a child of ours that nobody asks for."""
        processes.kill(self.pid, signal.SIGKILL)
        self._ours.close()


def receive(sock: socket.socket) -> protocol.Envelope | None:
    """Wait for one message; None when the other side ends first."""
    inbox = protocol.Inbox()
    while True:
        try:
            data, fds = fdsocket.receive(sock)
        except ConnectionResetError:
            return None
        if not data:
            return None
        for envelope in inbox.feed(data, fds):
            return envelope


def send(sock: socket.socket, data: bytes, fds: list[int]) -> None:
    """Send all of a message; the other side reads it at once."""
    sent = fdsocket.send(sock, data, fds)
    if sent < len(data):
        sock.sendall(data[sent:])


def _be_starter(keeper: socket.socket, host: Host) -> None:
    """Do one job for the keeper; never returns."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)  # the keeper's pipe
        processes.die_with_parent()
        host.start_siblings()
        if request := receive(keeper):
            outcome, fds = _work(host, request)
            body = _ENCODER.encode(outcome)
            head = protocol.HEADER.pack(protocol.VERSION, len(fds), len(body))
            send(keeper, head + body, fds)
        status = 0
    except BaseException as failure:
        sys.excepthook(type(failure), failure, failure.__traceback__)
    finally:
        os._exit(status)


def _work(host: Host, request: protocol.Envelope) -> tuple[Outcome, list[int]]:
    try:
        job = _JOB.decode(request.body)
        given = dict(zip(job.fds, request.fds, strict=True))
        init = perform(host.runtime(job.runtime), job, given)
    except StartFailed as failure:
        return Outcome(message=str(failure), exit_code=failure.exit_code), []
    except Exception as failure:
        return Outcome(message=str(failure) or repr(failure)), []
    fds = [init.pidfd] if init.terminal is None else [init.pidfd, init.terminal]
    return Outcome(pid=init.pid, warnings=list(init.warnings)), fds
