"""A shim's life: it keeps what the spawner gives it, until there is nothing and no more comes.

A process of Python that has kept one container has some three megabytes to itself, since whatever
it reads for the first time it writes to; the next container adds a few dozen kilobytes. So one
keeps many. It takes no more when it has grown, or has lost something, and ends with the last.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable
from typing import Final

import msgspec

from boxship.errors import InvalidRequest
from boxship.kernel import processes
from boxship.shim import fdsocket, protocol, record
from boxship.shim.children import Children
from boxship.shim.keeper import Keeper, Shared, report
from boxship.shim.loop import Loop, Moment
from boxship.shim.memory import trim
from boxship.shim.needs import Host
from boxship.shim.relief import Relief
from boxship.shim.starter import Planning
from boxship.shim.starters import Starters

MOST_LIVES: Final = 2000  # containers that one shim keeps, one after the other
GROWN: Final = 2048  # pages that it may have more than at first
TIDIES: Final = 0.5  # seconds after a container's end until its memory is given back
FREED: Final = b"-"  # said to the spawner for each container that has ended
READY: Final = "boxship-shim (ready)"


class Life:
    """One shim."""

    def __init__(
        self,
        spawner: socket.socket,
        host: Host,
        planning: Planning | None,
        set_title: Callable[[str], None],
    ) -> None:
        """`spawner` brings containers."""
        self._spawner = spawner
        self._set_title = set_title
        self._inbox = protocol.Inbox()
        self._loop = loop = Loop(on_error=report)
        children = Children(loop)
        me = record.Process(os.getpid(), processes.start_time(os.getpid()))
        starters = Starters(loop, children, host, planning, set_title)
        self._shared = Shared(host, loop, children, starters, me)
        self._keepers: list[Keeper] = []
        self._lives = 0
        self._takes_more = True
        self._tidies: Moment | None = None
        self._at_first = (0, 0)
        self._relief = Relief(loop, self._has_work, _to_the_end)

    def live(self) -> None:
        """Keep containers; never returns."""
        _to_the_end(self._live)

    def _live(self) -> None:
        os.setsid()
        processes.become_subreaper()
        self._set_title(READY)
        self._shared.starters.prepare()
        self._at_first = _pages(), self._lost()
        self._loop.watch(self._spawner.fileno(), self._on_spawner)
        self._relief.lead()

    def _has_work(self) -> bool:
        return self._takes_more or bool(self._keepers)

    def _on_spawner(self, _events: int) -> None:
        try:
            data, fds = fdsocket.receive(self._spawner)
            for envelope in self._inbox.feed(data, fds):
                self._keep(envelope)
        except (OSError, InvalidRequest):
            data = b""  # it is gone
        if not data:
            self._loop.forget(self._spawner.fileno())
            self._spawner.close()
            self._takes_more = False

    def _keep(self, request: protocol.Envelope) -> None:
        control = socket.socket(fileno=request.fds[0])
        try:
            asked = _SPAWN.decode(request.body)
        except msgspec.DecodeError as failure:
            control.close()
            report(failure)
            return
        self._lives += 1
        keeper = Keeper(asked.container, asked.folder, self._shared, self._on_finish)
        self._keepers.append(keeper)
        self._loop.attempt(lambda: keeper.begin(control))
        self._name()

    def _name(self) -> None:
        names = " ".join(keeper.name for keeper in self._keepers)
        self._set_title(f"boxship-shim {names}" if names else READY)

    def _on_finish(self, keeper: Keeper) -> None:
        self._keepers.remove(keeper)
        self._name()
        if self._takes_more:
            try:
                fdsocket.send(self._spawner, FREED)
            except OSError:
                pass  # its end is seen as any other's
        if self._tidies is None:
            self._tidies = self._loop.after(TIDIES, self._tidy)

    def _tidy(self) -> None:
        """Give back what containers that have ended took."""
        self._tidies = None
        gc.collect()
        trim()
        pages, descriptors = self._at_first
        if self._takes_more and (
            self._lives >= MOST_LIVES
            or _pages() > pages + GROWN
            or (not self._keepers and self._lost() != descriptors)
        ):
            # No more of them, but those that are on their way: then the other side closes, too.
            self._spawner.shutdown(socket.SHUT_WR)

    def _lost(self) -> int:
        """Return how many descriptors there are that belong to no starter."""
        return len(os.listdir("/proc/self/fd")) - 2 * len(self._shared.starters)


def _to_the_end(work: Callable[[], None]) -> None:
    """Do what is done until this process ends."""
    status = 1
    try:
        work()
        status = 0
    except BaseException as failure:
        report(failure)
    finally:
        os._exit(status)


_SPAWN: Final = msgspec.msgpack.Decoder(protocol.Spawn)


def _pages() -> int:
    """Return how many pages of ours are in memory."""
    file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(file, 256).split()[1])
    finally:
        os.close(file)
