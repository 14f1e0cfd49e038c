"""Namespaces: their kinds as clone flags, and entering them."""

from __future__ import annotations

import os
from typing import Final

from boxship.kernel.syscalls import syscall

CLONE_VM: Final = 0x00000100
CLONE_FS: Final = 0x00000200
CLONE_FILES: Final = 0x00000400
CLONE_PIDFD: Final = 0x00001000
CLONE_VFORK: Final = 0x00004000
CLONE_PARENT: Final = 0x00008000
CLONE_NEWTIME: Final = 0x00000080
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
CLONE_CLEAR_SIGHAND: Final = 0x100000000
CLONE_INTO_CGROUP: Final = 0x200000000

# The runtime specification's names, and the kernel's flag for each.
FLAGS: Final = {
    "user": CLONE_NEWUSER,
    "mount": CLONE_NEWNS,
    "network": CLONE_NEWNET,
    "pid": CLONE_NEWPID,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "cgroup": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
}
# What a namespace is called in /proc/<pid>/ns.
FILES: Final = {
    "user": "user",
    "mount": "mnt",
    "network": "net",
    "pid": "pid",
    "ipc": "ipc",
    "uts": "uts",
    "cgroup": "cgroup",
    "time": "time",
}


def unshare(flags: int) -> None:
    """Leave namespaces for new ones; a new pid namespace holds the next child, not the caller."""
    syscall("unshare", flags)


def setns(descriptor: int, kind: int = 0) -> None:
    """Enter a namespace by its file, or those of a process by its pidfd (`kind` says which)."""
    syscall("setns", descriptor, kind)


def open_namespace(pid: int | str, kind: str) -> int:
    """Open the namespace of `kind` that a process is in; the process must still be there."""
    return os.open(f"/proc/{pid}/ns/{FILES[kind]}", os.O_RDONLY | os.O_CLOEXEC)


def same(pid: int | str, other: int | str, kind: str) -> bool:
    """Whether two processes are in the same namespace of `kind`."""
    name = FILES[kind]
    one, two = os.stat(f"/proc/{pid}/ns/{name}"), os.stat(f"/proc/{other}/ns/{name}")
    return (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)
