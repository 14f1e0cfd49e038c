"""A timer that a thread can wait for, set by another: timerfd(2)."""

from __future__ import annotations

import os
import struct
import time
from typing import Final

from boxship.kernel.syscalls import syscall

_CLOEXEC: Final = os.O_CLOEXEC
_SETTING: Final = struct.Struct("4q")  # the interval and the first time, each in s and ns
_SECOND: Final = 1_000_000_000


class Alarm:
    """Rings once, each time it is set. To set one anew takes back what it was set to."""

    def __init__(self) -> None:
        self._fd = syscall("timerfd_create", time.CLOCK_MONOTONIC, _CLOEXEC)

    def set(self, seconds: float) -> None:
        """Have it ring in so many seconds."""
        setting = _SETTING.pack(0, 0, *divmod(int(seconds * _SECOND), _SECOND))
        syscall("timerfd_settime", self._fd, 0, setting, None)

    def wait(self) -> None:
        """Wait until it rings; of several who wait, one hears it."""
        os.read(self._fd, 8)
