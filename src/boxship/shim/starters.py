"""The starters of a keeper, as it sees them: jobs are given to those that have none.

Nothing here waits. One starter is there always; more are forked while jobs have to wait, and go
when there is nothing to do. A job that is held up holds up its own starter, and no other job.
"""

from __future__ import annotations

import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

from boxship.kernel import processes
from boxship.runtime import api
from boxship.runtime.errors import StartFailed
from boxship.runtime.launch import SEEN_BY_OTHERS, HeldUp
from boxship.runtime.telling import EXECUTING, told_as
from boxship.shim import fdsocket, starter
from boxship.shim.children import Children, reap
from boxship.shim.descriptors import close_all_but
from boxship.shim.job import OTHER, Job, decode_outcome, message, receive, send
from boxship.shim.loop import Loop, Moment
from boxship.shim.needs import Host
from boxship.shim.starter import Planning

AT_ONCE: Final = 2  # starters that are forked as soon as there is work for them
MOST: Final = 16
SLOW: Final = 0.05  # seconds that a job waits before there is one more for it
IDLE: Final = 10.0  # seconds without work after which all but one go
GOES_WITHIN: Final = 2.0  # seconds for one that is told to go

Made = api.Init | Exception
OnMade = Callable[[Made], None]


class StarterKilled(StartFailed):
    """It may have started something; it said nothing any more."""

    def __init__(self) -> None:
        super().__init__("the process that was to start the program was killed", OTHER)


class Ticket:
    """One job, until it is told what came of it."""

    def __init__(
        self, number: int, data: bytes, fds: list[int], until: float | None, on_made: OnMade
    ) -> None:
        self.number = number
        self.data = data
        self.fds = fds  # copies, while it is not yet a starter's
        self.until = until
        self.since = monotonic()
        self.on_made = on_made
        self.worker: Worker | None = None


class Worker:
    """A starter's process."""

    def __init__(self, sock: socket.socket, pid: int) -> None:
        self.sock = sock
        self.pid = pid
        self.pidfd = processes.open_pidfd(pid)
        self.ticket: Ticket | None = None

    def ended(self, _status: int = 0) -> None:
        os.close(self.pidfd)
        self.pidfd = -1

    def kill(self) -> None:
        if self.pidfd >= 0:
            processes.send_signal(self.pidfd, signal.SIGKILL)


class Starters:
    """Starts programs for all containers of one keeper."""

    def __init__(
        self,
        loop: Loop,
        children: Children,
        host: Host,
        planning: Planning | None,
        set_title: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._children = children
        self._host = host
        self._planning = planning
        self._set_title = set_title
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []
        self._queue: deque[Ticket] = deque()
        self._timed: set[Ticket] = set()
        self._looks: Moment | None = None
        self._grows: Moment | None = None
        self._shrinks: Moment | None = None

    def __len__(self) -> int:
        return len(self._workers)

    def prepare(self) -> None:
        """Have one starter, before there is anything to start."""
        if not self._workers:
            self._fork()

    def close(self) -> None:
        """Let all starters go."""
        for worker in list(self._workers):
            self._dismiss(worker)

    def start(self, job: Job, given: Mapping[str, int], on_made: OnMade) -> Ticket:
        """Start a program, and tell once what came of it: a StartFailed where it cannot run.

        The descriptors stay the caller's.
        """
        job.fds = list(given)
        until = monotonic() + SEEN_BY_OTHERS if job.process is not None else None
        fds = list(given.values())
        ticket = Ticket(self._children.begin(), message(job, len(fds)), fds, until, on_made)
        if until is not None:
            self._timed.add(ticket)
            self._look_later()
        try:
            if not self._give(ticket):
                ticket.fds = [os.dup(fd) for fd in fds]
                self._queue.append(ticket)
                self._grow_later()
        except OSError as failure:
            self._tell(ticket, failure)
        return ticket

    def give_up(self, ticket: Ticket) -> None:
        """Have a job done no more; nobody is told what came of it."""
        if ticket.worker:
            _end_what_is_told(ticket.worker.sock)
            self._dismiss(ticket.worker)
        elif ticket in self._queue:
            self._queue.remove(ticket)
            fdsocket.close_all(ticket.fds)
        self._finish(ticket)

    def _finish(self, ticket: Ticket) -> None:
        ticket.worker = None
        self._timed.discard(ticket)
        self._children.finish(ticket.number)

    def _tell(self, ticket: Ticket, made: Made) -> None:
        """Tell what came of a job. What was made is known to be our child when this returns."""
        self._loop.attempt(lambda: ticket.on_made(made))
        self._finish(ticket)

    # -- whose turn it is

    def _give(self, ticket: Ticket) -> bool:
        """Give a job to one that has none; False when all are at work."""
        while True:
            if not self._idle and len(self._workers) < AT_ONCE:
                self._try_fork()
            if not self._idle:
                return False
            worker = self._idle.pop()
            try:
                send(worker.sock, ticket.data, ticket.fds)
            except OSError:
                self._dismiss(worker)
                continue
            ticket.worker, worker.ticket = worker, ticket
            ticket.data, ticket.fds = b"", []
            return True

    def _next(self) -> None:
        while self._queue:
            ticket = self._queue[0]
            copies = ticket.fds
            failure = None
            try:
                if not self._give(ticket):
                    return
            except OSError as refused:
                failure = refused
            self._queue.popleft()
            fdsocket.close_all(copies)
            if failure:
                self._tell(ticket, failure)

    def _on_answer(self, worker: Worker) -> None:
        try:
            answer = receive(worker.sock)
        except OSError:
            answer = None
        ticket, worker.ticket = worker.ticket, None
        if answer is None or ticket is None:
            self._dismiss(worker)
            if ticket:
                self._tell(ticket, StarterKilled())
            self._next()
            return
        self._idle.append(worker)
        outcome = decode_outcome(answer.body)
        if outcome.first:
            reap(outcome.first)
        if outcome.pid:
            pidfd, *terminal = answer.fds
            init = api.Init(
                outcome.pid, pidfd, terminal[0] if terminal else None, tuple(outcome.warnings)
            )
            self._tell(ticket, init)
        else:
            fdsocket.close_all(answer.fds)
            self._tell(ticket, StartFailed(outcome.message, outcome.exit_code))
        self._next()
        if len(self._idle) > 1 and self._shrinks is None:
            self._shrinks = self._loop.after(IDLE, self._shrink)

    # -- how many there are

    def _try_fork(self) -> None:
        try:
            self._fork()
        except OSError:
            if not self._workers:
                raise  # there is none who could do it later

    def _fork(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        me = os.getpid()
        with theirs:
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                raise
            if pid == 0:
                signal.set_wakeup_fd(-1)
                close_all_but(theirs.fileno())
                self._set_title("boxship-starter")
                starter.serve(theirs, me, self._host, self._planning)
        worker = Worker(ours, pid)
        self._workers.append(worker)
        self._idle.append(worker)
        self._children.add(pid, worker.pidfd, worker.ended)
        self._loop.watch(ours.fileno(), lambda _events: self._on_answer(worker))

    def _dismiss(self, worker: Worker) -> None:
        """Let a starter go; it gives up what it is doing."""
        self._workers.remove(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        worker.ticket = None
        self._loop.forget(worker.sock.fileno())
        worker.sock.close()
        self._loop.after(GOES_WITHIN, worker.kill)

    def _grow_later(self) -> None:
        if self._grows is None:
            self._grows = self._loop.after(SLOW, self._grow)

    def _grow(self) -> None:
        self._grows = None
        has_waited = self._queue and self._queue[0].since + SLOW <= monotonic()
        if has_waited and len(self._workers) < MOST:
            self._try_fork()
            self._next()
        if self._queue:
            self._grow_later()

    def _shrink(self) -> None:
        self._shrinks = None
        while len(self._idle) > 1:
            self._dismiss(self._idle[0])

    # -- those that take too long

    def _look_later(self) -> None:
        if self._looks is None:
            self._looks = self._loop.after(1.0, self._look)

    def _look(self) -> None:
        self._looks = None
        now = monotonic()
        for ticket in [one for one in self._timed if one.until is not None and one.until < now]:
            self.give_up(ticket)
            self._tell(ticket, _held_up())
        if self._timed:
            self._look_later()


def _end_what_is_told(sock: socket.socket) -> None:
    """Kill a program of which its starter has told already, and nobody heard."""
    sock.setblocking(False)
    try:
        answer = receive(sock)
    except OSError:
        return  # nothing was told
    if answer and decode_outcome(answer.body).pid:
        processes.send_signal(answer.fds[0], signal.SIGKILL)
    fdsocket.close_all(answer.fds if answer else [])


def _held_up() -> StartFailed:
    try:
        with told_as(EXECUTING):
            raise HeldUp(SEEN_BY_OTHERS)
    except StartFailed as failure:
        return failure
