"""How a process is called in `ps`: a forked one has its parent's words until it changes them."""

from __future__ import annotations

import ctypes

from boxship.kernel import processes

_ARG_START, _ARG_END = 45, 46  # of /proc/pid/stat, counted from 0 after the name


class Title:
    """Where our command line lies. Looked up once: a child finds it at the same place."""

    def __init__(self) -> None:
        with open("/proc/self/stat", "rb", buffering=0) as file:
            fields = file.read().rpartition(b")")[2].split()
        self._start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
        self._room = max(end - self._start, 0) if self._start else 0

    def set(self, title: str) -> None:
        """Overwrite the command line as far as it has room, and set the short name."""
        processes.set_name(title.partition(" ")[0])
        if self._room:
            words = title.encode()[: self._room - 1].ljust(self._room, b"\0")
            ctypes.memmove(self._start, words, self._room)
