"""Capabilities: their names as bits, and the sets of a process."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from boxship.kernel.syscalls import syscall

# In the order of their numbers, from 0.
NAMES: Final = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
NUMBER: Final = {name: number for number, name in enumerate(NAMES)}
SYS_ADMIN: Final = 1 << NUMBER["CAP_SYS_ADMIN"]
SYS_PTRACE: Final = 1 << NUMBER["CAP_SYS_PTRACE"]
SYS_RESOURCE: Final = 1 << NUMBER["CAP_SYS_RESOURCE"]

VERSION: Final = 0x20080522
PR_CAPBSET_READ: Final = 23
PR_CAPBSET_DROP: Final = 24
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_last: int | None = None


def bits(names: Iterable[str]) -> int:
    """Return the set with these members; a name that is unknown is a KeyError."""
    total = 0
    for name in names:
        total |= 1 << NUMBER[name]
    return total


def names(mask: int) -> list[str]:
    """Return the members of a set, in the order of their numbers."""
    return [name for number, name in enumerate(NAMES) if mask >> number & 1]


def last_cap() -> int:
    """Return the highest capability that this kernel knows."""
    global _last
    if _last is None:
        with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
            _last = int(file.read())
    return _last


def header(pid: int = 0) -> bytes:
    """Return the first argument of capget(2) and capset(2)."""
    return struct.pack("Ii", VERSION, pid)


def sets(effective: int, permitted: int, inheritable: int) -> bytes:
    """Return the second argument of capset(2)."""
    low, high = 0xFFFFFFFF, 32
    return struct.pack(
        "6I",
        effective & low, permitted & low, inheritable & low,
        effective >> high, permitted >> high, inheritable >> high,
    )  # fmt: skip


def of_process(pid: int | str = "self") -> dict[str, int]:
    """Return the sets of a process: inheritable, permitted, effective, bounding and ambient."""
    keys = {
        "CapInh": "inheritable",
        "CapPrm": "permitted",
        "CapEff": "effective",
        "CapBnd": "bounding",
        "CapAmb": "ambient",
    }
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        pairs = (line.split(":", 1) for line in file)
        return {keys[key]: int(value, 16) for key, value in pairs if key in keys}


def set_own(effective: int, permitted: int, inheritable: int = 0) -> None:
    """Set the calling thread's sets."""
    syscall("capset", header(), sets(effective, permitted, inheritable))
