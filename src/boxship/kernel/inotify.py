"""inotify(7): a descriptor that turns readable when a file changes."""

from __future__ import annotations

import os
from typing import Final

from boxship.kernel.syscalls import syscall

IN_MODIFY: Final = 0x2
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100


def watch(path: str, events: int) -> int:
    """Open a descriptor, to be closed, that reports `events` of `path`; reads do not block."""
    descriptor = syscall("inotify_init1", os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        syscall("inotify_add_watch", descriptor, os.fsencode(path) + b"\0", events, about=path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def drain(descriptor: int) -> None:
    """Take all that was reported."""
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        pass
