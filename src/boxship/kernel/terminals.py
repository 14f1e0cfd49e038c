"""Pseudo-terminals: opened in any devpts by descriptor, never by a path a container could swap."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from typing import Final

TIOCSPTLCK: Final = 0x40045431
TIOCGPTPEER: Final = 0x5441
TIOCGPTN: Final = 0x80045430
PEER_FLAGS: Final = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC


def unlock(master: int) -> None:
    """Let the other side of a new terminal be opened."""
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))


def open_peer(master: int) -> int:
    """Open the other side, whatever is or is not mounted where the caller looks."""
    return fcntl.ioctl(master, TIOCGPTPEER, PEER_FLAGS)


def number(master: int) -> int:
    """Return N of the terminal's name, pts/N."""
    found: int = struct.unpack("i", fcntl.ioctl(master, TIOCGPTN, b"\0" * 4))[0]
    return found


def set_size(terminal: int, height: int, width: int) -> None:
    """Tell those on a terminal how large it is."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
