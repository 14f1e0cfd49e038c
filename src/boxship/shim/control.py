"""A shim's connections to the daemon. There may be none for a while, or two for a moment."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from select import POLLIN, POLLOUT
from typing import Final

from boxship.errors import InvalidRequest
from boxship.shim import fdsocket, protocol
from boxship.shim.loop import Loop
from boxship.shim.record import SOCKET

_LONGEST_ADDRESS: Final = 107
LARGEST_BACKLOG: Final = 4 << 20  # a daemon that reads nothing is let go

OnMessage = Callable[["Connection", protocol.Envelope], None]
OnGone = Callable[["Connection"], None]


class Connection:
    """One daemon's connection."""

    def __init__(
        self, loop: Loop, sock: socket.socket, on_message: OnMessage, on_gone: OnGone
    ) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._sock = sock
        self._inbox = protocol.Inbox()
        self._backlog = bytearray()
        self._on_message = on_message
        self._on_gone = on_gone
        self.is_open = True
        self._loop.watch(sock.fileno(), self._on_ready, POLLIN)

    @property
    def is_flushed(self) -> bool:
        """Whether all that was said has gone out, or never will."""
        return not self._backlog or not self.is_open

    def send(self, message: protocol.Message) -> None:
        """Say something, now or when the socket takes it."""
        if self.is_open:
            self._backlog += protocol.encode(message)
            self._flush()

    def _flush(self) -> None:
        try:
            while self._backlog:
                del self._backlog[: fdsocket.send(self._sock, bytes(self._backlog))]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if len(self._backlog) > LARGEST_BACKLOG:
            self.close()
            return
        self._loop.watch(
            self._sock.fileno(), self._on_ready, POLLIN | (POLLOUT if self._backlog else 0)
        )

    def _on_ready(self, events: int) -> None:
        if events & POLLOUT:
            self._flush()
        if self.is_open and events & ~POLLOUT:
            self._receive()

    def _receive(self) -> None:
        try:
            data, fds = fdsocket.receive(self._sock)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            fdsocket.close_all(fds)
            self.close()
            return
        try:
            for envelope in self._inbox.feed(data, fds):
                self._on_message(self, envelope)
        except InvalidRequest:
            self.close()

    def close(self) -> None:
        """End the connection; what was half received is given up."""
        if not self.is_open:
            return
        self.is_open = False
        fdsocket.close_all(self._inbox.abandon())
        self._loop.forget(self._sock.fileno())
        self._sock.close()
        self._on_gone(self)


class Door:
    """The socket in the shim's folder, for daemons that come later."""

    def __init__(self, loop: Loop, folder: str, on_guest: Callable[[socket.socket], None]) -> None:
        self._loop = loop
        self._on_guest = on_guest
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        with_address(folder, self._sock.bind)
        self._sock.listen(8)
        self._loop.watch(self._sock.fileno(), self._on_knock)

    def _on_knock(self, _events: int) -> None:
        try:
            guest, _ = self._sock.accept()
        except OSError:
            return
        if peer_user(guest) in (0, os.geteuid()):
            self._on_guest(guest)
        else:
            guest.close()

    def close(self) -> None:
        self._loop.forget(self._sock.fileno())
        self._sock.close()


def with_address(folder: str, use: Callable[[str], object]) -> None:
    """Call `use` with the address of a shim's socket; the kernel allows 107 bytes for one."""
    plain = f"{folder}/{SOCKET}"
    if len(plain.encode()) <= _LONGEST_ADDRESS:
        use(plain)
        return
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{handle}/{SOCKET}")
    finally:
        os.close(handle)


def peer_user(sock: socket.socket) -> int:
    """Return who is at the other end."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], "little")
