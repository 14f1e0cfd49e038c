"""The spawner: warm, single-threaded; forks shims, and gives each new container to one of them.

It reads requests from the daemon and answers none: the shim says the first word on the connection
that came with the request, and where no shim takes it, that connection closes.
At the daemon's end it ends too; its shims go on.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from time import monotonic
from typing import Final

import msgspec

from boxship.kernel import processes
from boxship.kernel.syscalls import MACHINE
from boxship.runtime.prepared import Performer
from boxship.runtime.stub import STUBS
from boxship.shim import fdsocket, protocol
from boxship.shim.descriptors import close_all_but
from boxship.shim.heedless import heed_no_signals
from boxship.shim.keeper import report
from boxship.shim.life import Life
from boxship.shim.memory import keep_small
from boxship.shim.needs import Host
from boxship.shim.starter import Planning
from boxship.shim.title import Title

UNLIKELY_VICTIM: Final = b"-999"  # of the kernel's search for memory
ATTEMPTS: Final = 3
CROWD: Final = 32  # containers that one shim keeps at a time
IDLE: Final = 10.0  # seconds without a request after which a shim goes that has no container
RETRY: Final = 1.0  # seconds after a fork that was refused
QUIET: Final = 0.012  # seconds after a request before the next shim is made, which takes a while
_SPAWN: Final = msgspec.msgpack.Decoder(protocol.Spawn)


def serve(daemon: socket.socket, host: Host) -> None:
    """Provide shims until the daemon's end of the connection closes."""
    planning = plan(host)
    nursery = Nursery(host, planning, prepare())
    inbox = protocol.Inbox()
    nursery.fork()
    while True:
        requests = select.poll()
        for fd in (daemon.fileno(), *nursery.shims):
            requests.register(fd, select.POLLIN)
        ready = [fd for fd, _ in requests.poll(nursery.patience())]
        if not ready:
            nursery.adjust()
        for fd in nursery.shims.keys() & ready:
            nursery.hear(fd)
        if daemon.fileno() not in ready:
            continue
        data, fds = fdsocket.receive(daemon)
        if not data:
            return
        for envelope in inbox.feed(data, fds):
            nursery.hand_over(envelope)


def plan(host: Host) -> Planning | None:
    """Return what starters plan with, warm, where this machine has a stub for it."""
    if MACHINE not in STUBS:
        return None
    performer = Performer()
    ahead = host.ahead(performer.stage.address)
    if ahead is None:
        return None
    planning = Planning(ahead, performer)
    planning.rehearse()
    return planning


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


class Shim:
    """A shim as the spawner sees it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.load = 0  # containers that it has

    @property
    def has_room(self) -> bool:
        return self.load < CROWD


class Nursery:
    """Keeps a shim ready that has room for another container.

    To fork, and to write for the first time to pages that were shared, is most of what a shim
    costs. It is done before somebody waits for it, and not while something is being started.
    """

    def __init__(self, host: Host, planning: Planning | None, title: Title) -> None:
        self._host = host
        self._planning = planning
        self._title = title
        self.shims: dict[int, Shim] = {}  # those that take containers, by descriptor
        self._taken = 0.0  # when there was no room any more, or later

    def _roomy(self) -> list[Shim]:
        return [shim for shim in self.shims.values() if shim.has_room]

    def adjust(self) -> None:
        """Come nearer to one that has room."""
        roomy = self._roomy()
        if not roomy:
            self.fork()
        elif empty := [shim for shim in roomy if not shim.load]:
            self._forget(empty[0])  # it ends when it sees that

    def patience(self) -> float | None:
        """Return for how many milliseconds nothing has to be done but for requests."""
        roomy = self._roomy()
        if not roomy:
            return max(0.0, self._taken + QUIET - monotonic()) * 1000
        if len(roomy) > 1 and not all(shim.load for shim in roomy):
            return IDLE * 1000
        return None

    def hear(self, descriptor: int) -> None:
        """Take note that containers of a shim have ended, or that it takes no more."""
        shim = self.shims[descriptor]
        try:
            ended = len(shim.sock.recv(4096))
        except ConnectionError:
            ended = 0
        shim.load -= ended
        if not ended:
            self._forget(shim)
            self._taken = monotonic()

    def _forget(self, shim: Shim) -> None:
        del self.shims[shim.sock.fileno()]
        shim.sock.close()

    def fork(self) -> Shim | None:
        """Fork a shim that takes containers."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if os.fork() == 0:
                close_all_but(theirs.fileno())
                Life(theirs, self._host, self._planning, self._title.set).live()
        except OSError as failure:
            report(failure)
            ours.close()
            self._taken = monotonic() + RETRY
            return None
        finally:
            theirs.close()
        shim = self.shims[ours.fileno()] = Shim(ours)
        return shim

    def hand_over(self, request: protocol.Envelope) -> None:
        """Give a request to the fullest shim that has room, or to another should that be dead.

        If none can be had, the connection in the request closes, which is answer enough.
        """
        try:
            alone = _SPAWN.decode(request.body).alone
            for _ in range(ATTEMPTS):
                roomy = [] if alone else self._roomy()
                shim = max(roomy, key=lambda one: one.load) if roomy else self.fork()
                if shim and self._give(shim, request):
                    if alone:
                        self._forget(shim)
                    return
        finally:
            fdsocket.close_all(request.fds)

    def _give(self, shim: Shim, request: protocol.Envelope) -> bool:
        head = protocol.HEADER.pack(protocol.VERSION, len(request.fds), len(request.body))
        try:
            fdsocket.send(shim.sock, head + request.body, request.fds)
        except OSError:
            self._forget(shim)
            return False
        shim.load += 1
        if not shim.has_room:
            self._taken = monotonic()
        return True
