"""How a keeper starts a program: as the planner says, or in the other ways that are left."""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from boxship.kernel import processes
from boxship.runtime import api
from boxship.runtime.errors import StartFailed
from boxship.runtime.prepared import Occupied, Performer, Prepared, Underway
from boxship.shim import fdsocket, planner, protocol, starter
from boxship.shim.needs import Host
from boxship.shim.planner import Answer
from boxship.shim.starter import Job, Starter

PATIENCE: Final = 3.0  # seconds for a plan: one that takes longer is made here
_ANSWER: Final = msgspec.msgpack.Decoder(Answer)
_ENCODER: Final = msgspec.msgpack.Encoder()


class NoPlan(Exception):
    """The planner is gone, is held up, or leaves this one to its keeper."""


class Beginning(Protocol):
    """A program between the decision to start it and its first instruction."""

    @property
    def waits_for(self) -> list[int]:
        """The descriptors of which one becomes readable when it may go on."""

    def advance(self) -> api.Init | None:
        """Go on as far as there is nothing to wait for; None before the program runs.

        StartFailed when it never will.
        """

    def abandon(self) -> None:
        """Kill it."""


class Begun:
    """A program that runs already."""

    def __init__(self, init: api.Init) -> None:
        self._init = init

    waits_for: list[int] = []  # noqa: RUF012

    def advance(self) -> api.Init:
        return self._init

    def abandon(self) -> None:
        """It is its container's to end."""


class Planned:
    """A program that was planned, with the descriptors that came with its plan."""

    def __init__(self, underway: Underway, fds: list[int]) -> None:
        self._underway = underway
        self._fds = fds

    @property
    def waits_for(self) -> list[int]:
        return self._underway.waits_for

    def advance(self) -> api.Init | None:
        try:
            init = self._underway.advance()
        except BaseException:
            self._close()
            raise
        if init is not None:
            if init.terminal in self._fds:
                self._fds.remove(init.terminal)
            self._close()
        return init

    def abandon(self) -> None:
        self._underway.abandon()
        self._close()

    def _close(self) -> None:
        fdsocket.close_all(self._fds)
        self._fds = []


class Planner:
    """The planner, as a keeper sees it: where to ask, and who it is."""

    def __init__(self, asks: socket.socket, pid: int, started: int, performer: Performer) -> None:
        self._asks = asks
        self.pid = pid
        self._started = started
        self._performer = performer

    def run(self, job: Job, given: Mapping[str, int]) -> api.Init:
        """Have a job planned, and do it; NoPlan when there is none."""
        if any(name.startswith("tree.") for name in given):
            raise NoPlan  # mounts that only this process holds are not the planner's to see
        try:
            return self._run(job, given, self._performer.lowest())
        except Occupied:
            return self._run(job, given, self._performer.lowest(certainly=True))

    def _run(self, job: Job, given: Mapping[str, int], low: int) -> api.Init:
        job.low = low
        plan, fds = self._plan(job, given)
        try:
            init = self._performer.perform(plan, fds, given, job.low)
            if init.terminal in fds:
                fds.remove(init.terminal)
            return init
        finally:
            fdsocket.close_all(fds)

    @property
    def is_busy(self) -> bool:
        """Whether the next program has to wait for the one that is being started."""
        return self._performer.is_busy

    def begin(self, job: Job, given: Mapping[str, int]) -> Planned:
        """Have a job planned, and begin it, without waiting; NoPlan when there is none."""
        try:
            return self._begin(job, given, self._performer.lowest())
        except Occupied:
            return self._begin(job, given, self._performer.lowest(certainly=True))

    def _begin(self, job: Job, given: Mapping[str, int], low: int) -> Planned:
        job.low = low
        plan, fds = self._plan(job, given)
        try:
            return Planned(self._performer.begin(plan, fds, given, job.low), fds)
        except BaseException:
            fdsocket.close_all(fds)
            raise

    @property
    def asks(self) -> int:
        """The descriptor by which it is asked."""
        return self._asks.fileno()

    @property
    def is_alive(self) -> bool:
        return processes.is_alive(self.pid, self._started)

    def close(self) -> None:
        """Let go of where it was asked."""
        self._asks.close()

    def before_fork(self) -> None:
        """Let a copy of this process have all that this one has."""
        self._performer.unburden()

    def rehearse(self) -> None:
        """Ask for nothing, and be ready to start something."""
        self._performer.lighten()
        job = Job(planner.NOBODY, "", protocol.RuntimeChoice(), low=self._performer.lowest())
        try:
            self._plan(job, {})
        except NoPlan:
            pass

    def _plan(self, job: Job, given: Mapping[str, int]) -> tuple[Prepared, list[int]]:
        answer, fds = self._ask(job, given)
        if answer.plan is None:
            fdsocket.close_all(fds)
            if answer.message:
                raise StartFailed(answer.message, answer.exit_code)
            raise NoPlan
        return answer.plan, fds

    def _ask(self, job: Job, given: Mapping[str, int]) -> tuple[Answer, list[int]]:
        job.fds = list(given)
        sent = [given[name] for name in planner.looked_at(job.fds)]
        body = _ENCODER.encode(job)
        head = protocol.HEADER.pack(protocol.VERSION, len(sent), len(body))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours:
            try:
                with theirs:
                    fdsocket.send(self._asks, planner.ASK, [theirs.fileno()])
                starter.send(ours, head + body, sent)
                self._wait(ours)
                answer = starter.receive(ours)
            except OSError as failure:
                raise NoPlan from failure
        if answer is None:
            raise NoPlan
        return _ANSWER.decode(answer.body), answer.fds

    def _wait(self, ours: socket.socket) -> None:
        """Wait for an answer. A planner that hangs is ended: nobody else shall wait as long."""
        poll = select.poll()
        poll.register(ours, select.POLLIN)
        if poll.poll(PATIENCE * 1000):
            return
        if self.is_alive:
            processes.kill(self.pid, signal.SIGKILL)
        raise NoPlan


class Launching:
    """Starts programs for one keeper."""

    def __init__(self, host: Host, planner: Planner | None) -> None:
        self._host = host
        self._planner = planner
        self.is_whole = False  # whether all memory is copied when it forks, as it was not at first

    def rehearse(self) -> None:
        """Do what can be done before there is anything to start."""
        if self._planner:
            self._planner.rehearse()

    def run(self, job: Job, given: Mapping[str, int], cgroup: str) -> api.Init:
        """Start a program; StartFailed when that fails. `cgroup` is its container's."""
        host = self._host
        is_first = job.process is None
        try:
            if self._planner and host.plans_for(job.runtime):
                if is_first:
                    host.adopt(job.runtime, job.container, cgroup, 0)
                return self._planner.run(job, given)
        except NoPlan:
            pass
        self._become_whole()
        init = Starter(host).run(job, given)
        if is_first:
            host.adopt(job.runtime, job.container, cgroup, init.pid)
        return init

    @property
    def is_busy(self) -> bool:
        """Whether `begin` has to wait for what was begun before."""
        return self._planner is not None and self._planner.is_busy

    def begin(self, job: Job, given: Mapping[str, int]) -> Beginning:
        """Begin to start one more program in a container that runs; nothing is waited for."""
        try:
            if self._planner and self._host.plans_for(job.runtime):
                return self._planner.begin(job, given)
        except NoPlan:
            pass
        self._become_whole()
        return Starter(self._host).begin(job, given)

    def _become_whole(self) -> None:
        self.is_whole = True
        if self._planner:
            self._planner.before_fork()
