"""One daemon for each data root, and its process ID in a file."""

from __future__ import annotations

import contextlib
import fcntl
import os
from contextlib import ExitStack

from boxship.daemon.config import BadConfiguration


def lock(data_root: str, undo: ExitStack) -> None:
    """Hold a data root for the life of this process; refuse when another daemon has it."""
    os.makedirs(data_root, 0o711, exist_ok=True)
    path = os.path.join(data_root, "lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    undo.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        why = f"process {owner}"
        if _is_dead(owner):
            why += (
                ", which was killed and cannot end: the kernel waits for a filesystem that does "
                "not answer"
            )
        raise BadConfiguration(
            f"the data root {data_root} is in use by another daemon ({why})"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)


def write_pid(path: str, undo: ExitStack) -> None:
    """Write the process ID to a file; refuse when the process named there runs a daemon."""
    if not path:
        return
    with contextlib.suppress(FileNotFoundError, ValueError):
        with open(path, encoding="ascii") as file:
            before = int(file.read(32))
        if before != os.getpid() and _is_daemon(before):
            raise BadConfiguration(
                f"failed to start daemon, ensure the daemon is not running or delete {path}: "
                f"process with PID {before} is still running"
            )
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    undo.callback(_delete_own, path)


def _is_dead(process: str) -> bool:
    """Whether a process has ended but for threads that the kernel does not let go."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def _is_daemon(process: int) -> bool:
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return b"boxship" in file.read()
    except OSError:
        return False


def _delete_own(path: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        with open(path, encoding="ascii") as file:
            if int(file.read(32)) != os.getpid():
                return
        os.unlink(path)
