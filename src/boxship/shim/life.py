"""A shim's life: it waits for a container, keeps it, and comes back to wait for another.

A forked process writes to each page that it uses for the first time, and that is most of what a
start costs; one that has kept a container has done so. It comes back only as it was: with the same
descriptors, no children, no folder left, little memory, and after a limited number of containers.
"""

from __future__ import annotations

import os
import socket
from typing import Final

import msgspec

from boxship.kernel import processes
from boxship.shim import fdsocket, protocol
from boxship.shim.keeper import Keeper, report
from boxship.shim.launching import Launching, Planner
from boxship.shim.needs import Host
from boxship.shim.title import Title

MOST_CONTAINERS: Final = 50  # that one shim keeps, one after the other
GROWN: Final = 1024  # pages that it may have more than at first
BACK: Final = b"+"
_SPAWN: Final = msgspec.msgpack.Decoder(protocol.Spawn)


class Life:
    """What a shim has from the spawner that forked it."""

    def __init__(
        self,
        spawner: socket.socket,
        returns: socket.socket,
        host: Host,
        planner: Planner | None,
        title: Title,
    ) -> None:
        """`spawner` brings a container; on `returns` it says that it can have another."""
        self._spawner = spawner
        self._returns = returns
        self._host = host
        self._planner = planner
        self._title = title

    def live(self) -> None:
        """Keep containers; never returns."""
        status = 1
        try:
            os.setsid()
            processes.become_subreaper()
            self._title.set("boxship-shim (ready)")
            keeper = Keeper(self._host, Launching(self._host, self._planner))
            keeper.rehearse()
            at_first = _pages()
            for _ in range(MOST_CONTAINERS):
                before = _descriptors()
                if not self._keep(keeper):
                    break
                if not keeper.is_as_before or _descriptors() != before - 1:
                    break  # one less: the spawner's
                if _pages() > at_first + GROWN or _has_children() or not self._come_back():
                    break
                self._title.set("boxship-shim (ready)")
                keeper = Keeper(self._host, Launching(self._host, self._planner))
            status = 0
        except BaseException as failure:
            report(failure)
        finally:
            os._exit(status)

    def _keep(self, keeper: Keeper) -> bool:
        """Wait for a container and keep it; False when none comes any more."""
        request = _wait_request(self._spawner)
        if request is None:
            return False
        asked = _SPAWN.decode(request.body)
        self._title.set(f"boxship-shim {asked.container}")
        keeper.run(asked.container, asked.folder, socket.socket(fileno=request.fds[0]))
        return True

    def _come_back(self) -> bool:
        """Offer to keep another; False where nobody wants it."""
        if self._planner is None:
            return False
        self._spawner, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            try:
                said = BACK + self._planner.pid.to_bytes(4, "little")
                fdsocket.send(self._returns, said, [theirs.fileno()])
            except OSError:
                return False
        return True


def _wait_request(spawner: socket.socket) -> protocol.Envelope | None:
    """Wait for the container to keep; None when the spawner ends first."""
    inbox = protocol.Inbox()
    try:
        while True:
            data, fds = fdsocket.receive(spawner)
            if not data:
                return None
            for envelope in inbox.feed(data, fds):
                return envelope
    except ConnectionResetError:
        return None
    finally:
        spawner.close()


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _pages() -> int:
    """Return how many pages of ours are in memory."""
    file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(file, 256).split()[1])
    finally:
        os.close(file)


def _has_children() -> bool:
    """Whether there is a child, ended or not: it would be taken for the next container's."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
    except ChildProcessError:
        return False
    return True


_WALL: Final = 0x40000000
