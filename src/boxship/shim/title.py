"""How a process is called in `ps`: a forked one has its parent's words until it changes them."""

from __future__ import annotations

import ctypes

from boxship.kernel import processes

_ARG_START, _ARG_END = 47, 48  # of /proc/pid/stat, counted from 0


def set_title(title: str) -> None:
    """Overwrite our command line with `title`, as far as it has room, and set our short name."""
    processes.set_name(title.partition(" ")[0])
    with open("/proc/self/stat", "rb", buffering=0) as file:
        fields = file.read().rpartition(b")")[2].split()
    # The first two fields, pid and name, are before what was split.
    start, end = int(fields[_ARG_START - 2]), int(fields[_ARG_END - 2])
    if 0 < start < end:
        ctypes.memmove(
            start, title.encode()[: end - start - 1].ljust(end - start, b"\0"), end - start
        )
