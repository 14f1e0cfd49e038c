"""Signals as bytes on a pipe, so that a loop can wait for them along with everything else."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NUMBERS = {
    "HUP": 1, "INT": 2, "QUIT": 3, "USR1": 10, "USR2": 12, "ALRM": 14, "TERM": 15,
    "CONT": 18, "TSTP": 20, "TTIN": 21, "TTOU": 22, "WINCH": 28, "IO": 29, "PWR": 30,
}  # fmt: skip
NAMES = {number: name for name, number in NUMBERS.items()}
WINCH = NUMBERS["WINCH"]
DEADLY = (NUMBERS["INT"], NUMBERS["TERM"])


def _ignore(number: int, frame: object) -> None:
    """A handler that is no handler: the number arrives through the wake-up pipe."""


class Signals:
    """While the block runs, the named signals arrive at `descriptor` instead of acting."""

    __slots__ = ("_kept", "_numbers", "_write", "descriptor")

    def __init__(self, names: tuple[str, ...]) -> None:
        self._numbers = [NUMBERS[name] for name in names]
        self._kept: list[tuple[int, Any]] = []
        self.descriptor = -1
        self._write = -1

    def __enter__(self) -> Signals:
        if self._numbers:
            self.descriptor, self._write = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
            _signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            for number in self._numbers:
                self._kept.append((number, _signal.signal(number, _ignore)))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._kept:
            _signal.signal(number, _signal.SIG_DFL if handler is None else handler)
        if self.descriptor >= 0:
            _signal.set_wakeup_fd(-1)
            posix.close(self.descriptor)
            posix.close(self._write)
            self.descriptor = -1

    def take(self) -> bytes:
        """Return the numbers of the signals that have come."""
        try:
            return posix.read(self.descriptor, 100)
        except BlockingIOError:
            return b""


def proxied(proxy: bool, tty: bool) -> tuple[str, ...]:
    """Return the signals to catch: all but the window's size are for the program."""
    names = tuple(name for name in NUMBERS if name != "WINCH") if proxy else ()
    return (*names, "WINCH") if tty else names
