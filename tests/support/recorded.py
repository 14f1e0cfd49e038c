"""An engine that only answers what it was given, and a terminal to watch clients draw it on."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.engine import PATIENCE

PING = b"HTTP/1.1 200 OK\r\nApi-Version: 1.50\r\nOstype: linux\r\nContent-Length: 0\r\n\r\n"


@contextlib.contextmanager
def recording(path: Path, body: bytes) -> Iterator[str]:
    """Yield the address of an engine that answers every call with `body`."""
    kind = b"Content-Type: application/json\r\n"
    answer = b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (kind, len(body)) + body
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve(connection: socket.socket) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while piece := connection.recv(65536):
                *heads, pending = (pending + piece).split(b"\r\n\r\n")
                for head in heads:
                    connection.sendall(PING if b"_ping" in head else answer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"unix://{path}"
    finally:
        listener.close()


def drawn(command: Sequence[str], columns: int) -> bytes:
    """Return what a command writes on a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):
        while piece := os.read(ours, 65536):
            seen += piece
    os.close(ours)
    assert process.wait(30 * PATIENCE) == 0
    return seen
