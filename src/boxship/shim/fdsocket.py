"""Bytes with descriptors over unix stream sockets that do not block."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Sequence
from typing import Final

from boxship.shim.protocol import MOST_FDS

AT_ONCE: Final = 16 << 10
_ROOM: Final = socket.CMSG_SPACE(MOST_FDS * 4)
_RIGHTS: Final = (socket.SOL_SOCKET, socket.SCM_RIGHTS)


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Return what has come, descriptors closed on exec; no bytes is the other side's end."""
    data, ancillary, flags, _ = sock.recvmsg(AT_ONCE, _ROOM, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, body in ancillary:
        if (level, kind) == _RIGHTS:
            fds.frombytes(body[: len(body) - len(body) % fds.itemsize])
    if flags & socket.MSG_CTRUNC:
        close_all(fds.tolist())
        raise ConnectionError("more descriptors came than a message may have")
    return data, fds.tolist()


def send(sock: socket.socket, data: bytes, fds: Sequence[int] = ()) -> int:
    """Send what the socket takes, the descriptors with its first byte; return how much it took."""
    rights = [(*_RIGHTS, array.array("i", fds))] if fds else []
    return sock.sendmsg([data], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
