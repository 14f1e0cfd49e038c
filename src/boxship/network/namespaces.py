"""Network namespaces: some made ahead, entered only by a thread kept for that.

Making one costs 0.5 ms, and up to 30 ms while the kernel clears up others; so a few are ready.
A thread that could not come back from a namespace would do its later work in the wrong one: all
entering is done in one thread of its own, which is given up when that happens.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from boxship.kernel import namespaces
from boxship.kernel.namespaces import CLONE_NEWNET
from boxship.kernel.netlink import route
from boxship.kernel.netlink.sockets import NETLINK_ROUTE, Netlink

READY: Final = 4
LOOPBACK: Final = 1  # the index of "lo", in every namespace

# before the first link of a namespace is made: IPv6 is off on links unless a network has it
# (then nobody's router advertisement counts either, and an address given out once is used at once,
# not after a second of asking for duplicates), and a link that comes up tells the bridge where its
# address is now, which an earlier container may have had
PREPARED: Final = {
    "ipv6/conf/default/disable_ipv6": "1",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv4/conf/default/arp_notify": "1",
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Namespace:
    """An open network namespace, and a socket that speaks to it from outside."""

    descriptor: int
    netlink: Netlink
    next_index: int  # the index that the next link will get, where that is known; otherwise 0

    def close(self) -> None:
        """Let go; when nobody else is in it, the kernel clears it up."""
        self.netlink.close()
        os.close(self.descriptor)


class Namespaces:
    """Makes and opens namespaces."""

    def __init__(self, ready: int = READY) -> None:
        self._wanted = ready
        self._ready: deque[Namespace] = deque()
        self._turn = threading.Lock()
        self._closed = False
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._thread: ThreadPoolExecutor | None = None

    def take(self) -> Namespace:
        """Return a namespace of the caller's own, with the loopback still down."""
        with contextlib.suppress(IndexError):
            taken = self._ready.popleft()
            self._submit(self._refill)
            return taken
        made = self._submit(self._make).result()
        self._submit(self._refill)
        return made

    def open(self, descriptor: int) -> Namespace:
        """Speak to a namespace that exists already; the descriptor stays the caller's."""
        kept = os.dup(descriptor)
        try:
            return Namespace(kept, self.inside(descriptor, lambda: Netlink(NETLINK_ROUTE)), 0)
        except BaseException:
            os.close(kept)
            raise

    def inside(self, descriptor: int, action: Callable[[], T]) -> T:
        """Run something short with the namespace entered."""
        return self._submit(lambda: self._within(descriptor, action)).result()

    def write(self, descriptor: int, setting: str, value: str) -> None:
        """Write a file of /proc/sys/net as the namespace has it."""
        self.inside(descriptor, lambda: write_setting(setting, value))

    def close(self) -> None:
        """Give up what was made ahead."""
        with self._turn:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()
        while self._ready:
            self._ready.pop().close()
        os.close(self._home)

    def _submit(self, action: Callable[[], T]) -> Future[T]:
        with self._turn:
            if self._closed:
                gone: Future[T] = Future()
                gone.set_exception(RuntimeError("no more namespaces are made"))
                return gone
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "namespaces")
            return self._thread.submit(action)

    def _refill(self) -> None:
        while len(self._ready) < self._wanted and not self._closed:
            self._ready.append(self._make())

    def _make(self) -> Namespace:
        namespaces.unshare(CLONE_NEWNET)
        try:
            descriptor = namespaces.open_namespace("thread-self", "network")
            try:
                for setting, value in PREPARED.items():
                    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
                        write_setting(setting, value)
                netlink = Netlink(NETLINK_ROUTE)
                links = [route.read_link(one) for one in netlink.dump(route.get_links())]
                return Namespace(descriptor, netlink, max(link.index for link in links) + 1)
            except BaseException:
                os.close(descriptor)
                raise
        finally:
            self._go_home()

    def _within(self, descriptor: int, action: Callable[[], T]) -> T:
        namespaces.setns(descriptor, CLONE_NEWNET)
        try:
            return action()
        finally:
            self._go_home()

    def _go_home(self) -> None:
        try:
            namespaces.setns(self._home, CLONE_NEWNET)
        except OSError:
            with self._turn:
                self._thread = None  # nothing more is run in this thread
            raise


def write_setting(setting: str, value: str) -> None:
    """Write a file of /proc/sys/net, as the calling thread's namespace has it."""
    descriptor = os.open(f"/proc/sys/net/{setting}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def read_setting(setting: str) -> str:
    """Read a file of /proc/sys/net, as the calling thread's namespace has it."""
    with open(f"/proc/sys/net/{setting}", encoding="ascii") as file:
        return file.read().strip()
