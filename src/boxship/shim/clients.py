"""An attached client, from where its socket is handed over to where it is closed."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from boxship.shim.escape import DetachKeys
from boxship.shim.protocol import Attachment
from boxship.wire import multiplex

if TYPE_CHECKING:
    from boxship.shim.streams import Output

_QUIET: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class Client:
    """An attached client's socket, and what it is still owed."""

    def __init__(self, sock: socket.socket, attachment: Attachment, *, raw: bool) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.fd = sock.fileno()
        self.wants = (False, attachment.stdout, attachment.stderr)
        self.sends_input = attachment.stdin
        self.frames = attachment.multiplex
        self.keys = DetachKeys(attachment.detach_keys if raw else b"")
        self.backlog: list[bytes | memoryview] = []
        self.owed: Output | None = None  # whose bytes are promised by a frame's header
        self.leaving = False  # gets what it is owed and is closed then
        self.unread_input = attachment.pending
        self.watched = -1  # for which events the loop watches it

    @property
    def is_busy(self) -> bool:
        """Whether it has not yet taken what it was given."""
        return bool(self.backlog) or self.owed is not None

    def send(self, stream: int, data: bytes) -> None:
        """Give it output; what its socket does not take now is its backlog."""
        if self.frames:
            self.backlog.append(multiplex.header(stream, len(data)))
        self.backlog.append(data)
        self.flush()

    def flush(self) -> None:
        """Send what its socket takes; raises OSError when the client is gone."""
        while self.backlog:
            try:
                sent = self.sock.sendmsg(self.backlog, (), _QUIET)
            except BlockingIOError:
                return
            while sent:
                first = self.backlog[0]
                if sent < len(first):
                    self.backlog[0] = memoryview(first)[sent:]
                    break
                sent -= len(first)
                del self.backlog[0]
