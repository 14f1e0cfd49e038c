"""The process beside a keeper that starts its programs: it plans, and it clones.

What it starts is a child of the keeper. Planning touches much memory, and a new process shares its
starter's until its program runs: a container that runs out of memory in that moment ends the
starter, and not the keeper with all that it keeps.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Final

import msgspec

from boxship.kernel import processes
from boxship.runtime import api
from boxship.runtime.ahead import Ahead, Unsuited
from boxship.runtime.api import CreateRequest
from boxship.runtime.errors import StartFailed
from boxship.runtime.launch import HeldUp
from boxship.runtime.prepared import Occupied, Performer, Prepared, Underway
from boxship.shim import fdsocket, job, protocol
from boxship.shim.job import Job, Outcome, decode_job
from boxship.shim.needs import Host
from boxship.shim.protocol import GO
from boxship.spec.oci import runtime as oci

YOUNG: Final = 20_000  # objects before a collection: a plan makes some thousands, all short-lived
_SAMPLE: Final = (
    b'{"ociVersion":"1.2.0","process":{"args":["/a"],"env":["PATH=/bin","A=b"],"cwd":"/a",'
    b'"user":{"uid":1,"gid":1},"capabilities":{"bounding":["CAP_KILL"]}},"root":{"path":"r"},'
    b'"hostname":"h","mounts":[{"destination":"/proc","type":"proc","options":["nosuid"]},'
    b'{"destination":"/dev","type":"tmpfs","options":["nosuid","mode=755","size=65536k"]},'
    b'{"destination":"/dev/pts","type":"devpts","options":["newinstance","mode=0620"]},'
    b'{"destination":"/sys","type":"sysfs","options":["ro"]},'
    b'{"destination":"/sys/fs/cgroup","type":"cgroup","options":["ro"]}],'
    b'"linux":{"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"cgroup"}],'
    b'"resources":{"memory":{}},"maskedPaths":["/proc/a"],"readonlyPaths":["/proc/b"]}}'
)


class GivenUp(Exception):
    """The keeper does not want it any more, or is gone."""


class Planning:
    """Plans laid out at agreed addresses and numbers, where this machine has a stub for them."""

    def __init__(self, ahead: Ahead, performer: Performer) -> None:
        self.ahead = ahead
        self.performer = performer

    def rehearse(self) -> None:
        """Plan once for nobody: the first who asks shall not wait for caches to be filled."""
        spec = msgspec.json.decode(_SAMPLE, type=oci.Spec)
        self.ahead.rehearse(CreateRequest("", spec, "/", job.NO_FILE))


class Starter:
    """Does one job after the other; it is ready for the next when it has told of the last."""

    def __init__(self, keeper: socket.socket, host: Host, planning: Planning | None) -> None:
        self._keeper = keeper
        self._host = host
        self._planning = planning
        host.start_siblings()
        if planning:
            planning.ahead.start_siblings()
            planning.performer.lighten()

    def serve(self) -> None:
        """Work until the keeper is gone, or gives a job up."""
        while request := job.receive(self._keeper):
            try:
                outcome, fds = self._work(request)
            except GivenUp:
                return
            finally:
                fdsocket.close_all(request.fds)
            try:
                job.send(self._keeper, job.message(outcome, len(fds)), fds)
            finally:
                fdsocket.close_all(fds)

    def _work(self, request: protocol.Envelope) -> tuple[Outcome, list[int]]:
        try:
            asked = decode_job(request.body)
            given = dict(zip(asked.fds, request.fds, strict=True))
            init, first = self._start(asked, given)
        except StartFailed as failure:
            return Outcome(message=str(failure), exit_code=failure.exit_code), []
        except GivenUp:
            raise
        except Exception as failure:
            return Outcome(message=str(failure) or repr(failure)), []
        fds = [init.pidfd] if init.terminal is None else [init.pidfd, init.terminal]
        return Outcome(pid=init.pid, first=first, warnings=list(init.warnings)), fds

    def _start(self, asked: Job, given: MutableMapping[str, int]) -> tuple[api.Init, int]:
        """Return the process, and the one that made it where that is another."""
        go = given.pop(GO, None)
        asked.fds = list(given)
        is_ours = self._host.plans_for(asked.runtime)
        if self._planning and is_ours and not any(name.startswith("tree.") for name in given):
            performer = self._planning.performer
            try:
                try:
                    return self._planned(self._planning, asked, given, performer.lowest(), go)
                except Occupied:
                    low = performer.lowest(certainly=True)
                    return self._planned(self._planning, asked, given, low, go)
            except Unsuited:
                pass
        self._wait_for_word(go)
        with self._whole():
            return job.perform(self._host.runtime(asked.runtime), asked, given), 0

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Let copies of us have our memory: hooks are run by some."""
        if self._planning is None:
            yield
            return
        self._planning.performer.unburden()
        try:
            yield
        finally:
            self._planning.performer.lighten()

    def _planned(
        self, planning: Planning, asked: Job, given: Mapping[str, int], low: int, go: int | None
    ) -> tuple[api.Init, int]:
        with _plan(planning.ahead, asked, given, low) as (plan, fds):
            self._wait_for_word(go)
            underway = planning.performer.begin(plan, fds, given, low)
            first = underway.pid
            while (init := underway.advance()) is None:
                self._wait(underway)
            if init.terminal in fds:
                init = api.Init(init.pid, init.pidfd, os.dup(init.terminal), init.warnings)
            return init, 0 if first == init.pid else first

    def _wait_for_word(self, go: int | None) -> None:
        """Wait until there is all that the program shall find, or never will be."""
        if go is None:
            return
        poll = select.poll()
        for fd in (self._keeper.fileno(), go):
            poll.register(fd, select.POLLIN)
        ready = dict(poll.poll())
        if self._keeper.fileno() in ready:
            raise GivenUp
        if not ready[go] & select.POLLIN:
            raise StartFailed("what the program needs could not be made ready")

    def _wait(self, underway: Underway) -> None:
        """Wait until the process has come further. One that takes too long is ended."""
        poll = select.poll()
        for fd in (self._keeper.fileno(), *underway.waits_for):
            poll.register(fd, select.POLLIN)
        ready = poll.poll(underway.patience * 1000)
        if ready and self._keeper.fileno() not in dict(ready):
            return
        underway.abandon()
        if ready:
            raise GivenUp
        raise underway.told(HeldUp(underway.patience))


@contextmanager
def _plan(
    ahead: Ahead, asked: Job, given: Mapping[str, int], low: int
) -> Iterator[tuple[Prepared, list[int]]]:
    """Have a plan, and the descriptors that it takes, for the time of a block."""
    said, spec = job.read_spec(asked.bundle)
    if asked.process is not None:
        further = job.exec_request(asked, spec, given)
        with ahead.further(further, asked.fds, low, said + asked.process) as made:
            yield made
    else:
        first = job.create_request(asked, spec, given)
        with ahead.first(first, asked.fds, low, said) as made:
            yield made


def serve(keeper: socket.socket, parent: int, host: Host, planning: Planning | None) -> None:
    """Be a starter, in a process of its own, for as long as its parent lives; never returns."""
    status = 1
    try:
        processes.die_with_parent()
        if os.getppid() != parent:
            return  # it died before the kernel knew
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        starter = Starter(keeper, host, planning)
        gc.freeze()
        gc.set_threshold(YOUNG, 10, 10)
        gc.enable()
        starter.serve()
        status = 0
    except BaseException as failure:
        sys.excepthook(type(failure), failure, failure.__traceback__)
    finally:
        os._exit(status)
