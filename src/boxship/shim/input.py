"""What goes into a program: from a client's socket into its pipe, or to its terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from boxship.shim.clients import Client
from boxship.shim.pipes import SMALL, SPLICE, WIDE, widen

if TYPE_CHECKING:
    from boxship.shim.streams import Streams


class Input:
    """The way into the program: the other end of its pipe, or its terminal's master side."""

    def __init__(self, streams: Streams, fd: int, *, terminal: bool, once: bool) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.is_open = True
        self.terminal = terminal
        self.ends_with_client = once and not terminal
        self._streams = streams
        self._backlog = b""
        self._closing = False
        self._wide = False

    @property
    def is_busy(self) -> bool:
        return bool(self._backlog)

    def write(self, data: bytes) -> None:
        """Take what a client sent; what the program does not take now is kept."""
        self._backlog += data
        self.flush()

    def flush(self) -> None:
        """Give the program what it takes."""
        while self._backlog:
            try:
                sent = os.write(self.fd, self._backlog)
            except BlockingIOError:
                return
            except OSError:
                self._backlog = b""
                self.close()
                return
            self._backlog = self._backlog[sent:]
        if self._closing:
            self.close()

    def splice_from(self, client: Client) -> bool | None:
        """Move input without reading it. True: some; False: the client's end; None: not now."""
        try:
            moved = os.splice(client.fd, self.fd, WIDE, flags=SPLICE)
        except BlockingIOError:
            return None
        if moved >= SMALL and not self._wide:
            self._wide = True
            widen(self.fd)
        return moved > 0

    def finish(self) -> None:
        """Tell the program that no more input comes, once it has got what there is."""
        self._closing = True
        self.flush()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            if not self.terminal:
                self._streams.loop.forget(self.fd)
                os.close(self.fd)
