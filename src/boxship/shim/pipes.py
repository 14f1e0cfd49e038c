"""Pipes through which a program's streams go: how much they hold, and how bytes move through."""

from __future__ import annotations

import fcntl
import os
from typing import Final

SMALL: Final = 64 << 10  # a pipe as the kernel makes it
WIDE: Final = 1 << 20  # a pipe through which much goes
SPLICE: Final = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
_FIONREAD: Final = 0x541B


def widen(pipe: int) -> None:
    """Make a pipe hold more, if the kernel lets us."""
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, WIDE)
    except OSError:
        pass


def readable(fd: int) -> int:
    """Return how many bytes a pipe holds."""
    answer = fcntl.ioctl(fd, _FIONREAD, b"\0\0\0\0")
    return int.from_bytes(answer, "little")
