"""Terminals for programs that come to a running container."""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import ExitStack, suppress
from typing import Final

from boxship.kernel import paths, terminals
from boxship.kernel.syscalls import libc
from boxship.runtime.errors import StartFailed

DEVPTS_MAGIC: Final = 0x1CD1
PTMX: Final = os.makedev(5, 2)
PLACES: Final = ("dev/pts/ptmx", "dev/ptmx")
ALL: Final = -1


def open_in(pid: int, uid: int) -> tuple[int, int]:
    """Open a terminal in the devpts of a container, found through one of its processes.

    The container may have put anything where its devpts was: only a multiplexer on a devpts
    filesystem is opened, and the other side is reached through it, not by a name.
    """
    with ExitStack() as held:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        held.callback(os.close, root)
        for place in PLACES:
            with suppress(FileNotFoundError, NotADirectoryError):
                found = paths.open_in_root(root, place, os.O_PATH)
                held.callback(os.close, found)
                if is_multiplexer(found):
                    return _open(found, uid)
    raise StartFailed("error creating console: the container has no devpts")


def is_multiplexer(descriptor: int) -> bool:
    """Whether a descriptor is of a devpts filesystem's own ptmx."""
    buffer = ctypes.create_string_buffer(256)
    if libc.fstatfs(descriptor, buffer) != 0:
        return False
    magic = struct.unpack_from("l", buffer)[0]
    return bool(magic == DEVPTS_MAGIC and os.fstat(descriptor).st_rdev == PTMX)


def _open(multiplexer: int, uid: int) -> tuple[int, int]:
    # What is opened again is what was looked at: the link of /proc names the very file.
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    with ExitStack() as undo:
        master = os.open(f"/proc/self/fd/{multiplexer}", flags)
        undo.callback(os.close, master)
        terminals.unlock(master)
        slave = terminals.open_peer(master)
        undo.callback(os.close, slave)
        if uid:
            with suppress(OSError):  # a user namespace may not have the user
                os.fchown(slave, uid, ALL)
        undo.pop_all()
        return master, slave
