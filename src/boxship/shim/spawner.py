"""The spawner: warm, single-threaded; forks a shim for each container, one ahead of time.

It reads requests from the daemon and answers none: the shim it forks says the first word on the
connection that came with the request, and where no shim comes to be, that connection closes.
At the daemon's end it ends too; its shims go on.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from collections import deque
from time import monotonic
from typing import Final

from boxship.kernel import processes
from boxship.kernel.syscalls import MACHINE
from boxship.runtime.ahead import Ahead
from boxship.runtime.prepared import Performer
from boxship.runtime.stub import STUBS
from boxship.shim import fdsocket, planner, protocol
from boxship.shim.keeper import heed_no_signals, report
from boxship.shim.launching import Planner
from boxship.shim.life import Life
from boxship.shim.memory import fill_gaps, keep_small
from boxship.shim.needs import Host
from boxship.shim.rehearsal import rehearse
from boxship.shim.title import Title

UNLIKELY_VICTIM: Final = b"-999"  # of the kernel's search for memory
ATTEMPTS: Final = 3
SPARE: Final = 1  # shims that are ready
MOST_READY: Final = 4  # when some come back
IDLE: Final = 10.0  # seconds without a request after which one that is too many goes
RETRY: Final = 1.0  # seconds after a fork that was refused
QUIET: Final = 0.012  # seconds after a request before the next shim is made, which takes a while


def serve(daemon: socket.socket, host: Host, folder: str | None = None) -> None:
    """Provide shims until the daemon's end of the connection closes.

    What they will do is rehearsed in a `folder`, which is made and removed, if there is one.
    """
    if folder is not None:
        rehearse(host, folder)
    nursery = Nursery(daemon, host, prepare())
    inbox = protocol.Inbox()
    nursery.prepare_one()
    requests = select.poll()
    requests.register(daemon, select.POLLIN)
    requests.register(nursery.returned, select.POLLIN)
    while True:
        ready = [fd for fd, _ in requests.poll(nursery.patience())]
        if not ready:
            nursery.adjust()
        if nursery.returned in ready:
            nursery.take_back()
        if daemon.fileno() not in ready:
            continue
        data, fds = fdsocket.receive(daemon)
        if not data:
            return
        for envelope in inbox.feed(data, fds):
            nursery.hand_over(envelope)


def prepare() -> Title:
    """Become what shims are forked from: nothing to collect, nothing to look into.

    What can be done here is not done in a shim: there each thing that is touched is a page more.
    """
    processes.set_dumpable(False)
    title = Title()
    title.set("boxship-spawner")
    _avoid_oom_killer()
    os.chdir("/")
    os.umask(0o022)
    heed_no_signals()
    signal.signal(signal.SIGCHLD, _reap)
    keep_small()
    gc.collect()
    gc.disable()
    fill_gaps()
    gc.freeze()
    return title


def _reap(_number: int, _frame: object) -> None:
    """Wait for shims that have ended; it is nobody's business here how."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _avoid_oom_killer() -> None:
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(UNLIKELY_VICTIM)
    except OSError:
        pass  # not permitted here: the kernel may choose as it likes


class Nursery:
    """Keeps shims ready: forked, and past all that does not depend on their containers.

    To fork, and to write for the first time to pages that were shared, is most of what a shim
    costs. It is done before somebody waits for it, and not while something is being started.
    """

    def __init__(self, daemon: socket.socket, host: Host, title: Title) -> None:
        self._daemon = daemon
        self._host = host
        self._title = title
        self._ready: deque[socket.socket] = deque()
        self._taken = 0.0  # when the first of those was taken that are missing now, or later
        self._planner: Planner | None = None
        # Shims that have kept a container come back here.
        self._returned, self._returns = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._performer = Performer() if MACHINE in STUBS else None
        self._ahead = host.ahead(self._performer.stage.address) if self._performer else None

    def adjust(self) -> None:
        """Come nearer to as many as should be ready."""
        if len(self._ready) < SPARE:
            self.prepare_one()
        else:
            self._ready.pop().close()  # it ends when it sees that

    def patience(self) -> float | None:
        """Return for how many milliseconds nothing has to be done but for requests."""
        if len(self._ready) == SPARE:
            return None
        if len(self._ready) > SPARE:
            return IDLE * 1000
        return max(0.0, self._taken + QUIET - monotonic()) * 1000

    @property
    def returned(self) -> int:
        """The descriptor that becomes readable when a shim wants to come back."""
        return self._returned.fileno()

    def take_back(self) -> None:
        """Take a shim that has kept a container, unless there are enough, or it is outdated."""
        said, fds = fdsocket.receive(self._returned)
        planner = int.from_bytes(said[1:5], "little")
        wanted = self._planner is not None and self._planner.pid == planner
        for fd in fds:
            if wanted and len(self._ready) < MOST_READY:
                self._ready.appendleft(socket.socket(fileno=fd))  # it is the warmest
            else:
                os.close(fd)

    def prepare_one(self) -> None:
        """Fork a shim that waits for its container."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._keep_planner()
            if os.fork() == 0:
                asks = [self._planner.asks] if self._planner else []
                _close_all_but(theirs.fileno(), self._returns.fileno(), *asks)
                Life(theirs, self._returns, self._host, self._planner, self._title).live()
        except OSError as failure:
            report(failure)
            ours.close()
            self._taken = monotonic() + RETRY
        else:
            self._ready.append(ours)
        finally:
            theirs.close()

    def _keep_planner(self) -> None:
        """Fork a planner, unless there is one."""
        if self._performer is None or self._ahead is None:
            return
        if self._planner and self._planner.is_alive:
            return
        if self._planner:
            self._planner.close()
        asks, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with asked:
            pid = os.fork()
            if pid == 0:
                _close_all_but(asked.fileno())
                self._be_planner(asked, self._ahead)
        self._planner = Planner(asks, pid, processes.start_time(pid), self._performer)

    def _be_planner(self, asked: socket.socket, ahead: Ahead) -> None:
        """Plan for all keepers; never returns."""
        status = 1
        try:
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._title.set("boxship-planner")
            planner.serve(asked, ahead)
            status = 0
        except BaseException as failure:
            report(failure)
        finally:
            os._exit(status)

    def hand_over(self, request: protocol.Envelope) -> None:
        """Give a request to the shim that is ready, or to another should that one be dead.

        If none can be had, the connection in the request closes, which is answer enough.
        """
        if len(self._ready) == SPARE:
            self._taken = monotonic()
        try:
            for _ in range(ATTEMPTS):
                if not self._ready:
                    self.prepare_one()
                if self._ready and self._give(self._ready.popleft(), request):
                    return
        finally:
            fdsocket.close_all(request.fds)

    def _give(self, ready: socket.socket, request: protocol.Envelope) -> bool:
        head = protocol.HEADER.pack(protocol.VERSION, len(request.fds), len(request.body))
        try:
            fdsocket.send(ready, head + request.body, request.fds)
        except OSError:
            return False
        finally:
            ready.close()
        return True


def _close_all_but(*kept: int) -> None:
    """Have of the spawner's descriptors only these and the first three.

    Whatever it was doing: a connection that a copy holds open would never be seen to end.
    """
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
