"""The way into the kernel: system calls by name, and errno turned into OSError.

The C library is used for nothing but its `syscall`, so what a call means does not depend on which
C library it is. Names and argument orders are those of the manual pages.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

MACHINE: Final = os.uname().machine
libc: Final = ctypes.CDLL(None, use_errno=True)

Argument = int | bytes | ctypes.Array[ctypes.c_char] | None

# Calls that are older than the common numbering: x86-64, then the generic table (arm64).
# A call that arm64 has not is -1 there.
_OLD: Final = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "madvise": (28, 233),
    "rt_sigprocmask": (14, 135),
    "ioctl": (16, 29),
    "clone": (56, 220),
    "execve": (59, 221),
    "exit": (60, 93),
    "wait4": (61, 260),
    "kill": (62, 129),
    "fchdir": (81, 50),
    "chdir": (80, 49),
    "fchmod": (91, 52),
    "fchown": (93, 55),
    "umask": (95, 166),
    "ptrace": (101, 117),
    "setgid": (106, 144),
    "setuid": (105, 146),
    "setsid": (112, 157),
    "setgroups": (116, 159),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "capget": (125, 90),
    "capset": (126, 91),
    "personality": (135, 92),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "chroot": (161, 51),
    "mount": (165, 40),
    "umount2": (166, 39),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "getxattr": (191, 8),
    "setpriority": (141, 140),
    "exit_group": (231, 94),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "ioprio_set": (251, 30),
    "inotify_add_watch": (254, 27),
    "openat": (257, 56),
    "mkdirat": (258, 34),
    "mknodat": (259, 33),
    "fchownat": (260, 54),
    "unlinkat": (263, 35),
    "symlinkat": (266, 36),
    "readlinkat": (267, 78),
    "fchmodat": (268, 53),
    "unshare": (272, 97),
    "sync_file_range": (277, 84),
    "timerfd_create": (283, 85),
    "timerfd_settime": (286, 86),
    "dup3": (292, 24),
    "inotify_init1": (294, 26),
    "prlimit64": (302, 261),
    "syncfs": (306, 267),
    "setns": (308, 268),
    "sched_setattr": (314, 274),
    "seccomp": (317, 277),
    "memfd_create": (319, 279),
    "bpf": (321, 280),
    "execveat": (322, 281),
}
_COMMON: Final = {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "faccessat2": 439,
    "mount_setattr": 442,
    "fchmodat2": 452,
    "statmount": 457,
    "listmount": 458,
}
_COLUMN: Final = 0 if MACHINE == "x86_64" else 1
NUMBER: Final[dict[str, int]] = {name: pair[_COLUMN] for name, pair in _OLD.items()} | _COMMON

AT_FDCWD: Final = -100
AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_EMPTY_PATH: Final = 0x1000
AT_RECURSIVE: Final = 0x8000

_syscall = libc.syscall
_syscall.restype = ctypes.c_long
# Every argument goes in as one machine word; a `bytes` as the address of its first byte.
_syscall.argtypes = [ctypes.c_long, *[ctypes.c_void_p] * 6]
_WORD: Final = (1 << 64) - 1


def raw(number: int, *arguments: Argument) -> int:
    """Make one system call; return what it returned, -errno for an error."""
    words = [a & _WORD if type(a) is int else a for a in arguments]
    result: int = _syscall(number, *words, *_NOTHING[len(words) :])
    return -ctypes.get_errno() if result == -1 else result


_NOTHING: Final = (0,) * 6


def syscall(name: str, *arguments: Argument, about: object = None) -> int:
    """Make the system call called `name`; an error is an OSError that speaks of `about`."""
    return check(raw(NUMBER[name], *arguments), name, about)


def check(result: int, what: str, about: object = None) -> int:
    """Return a result that is no error (-errno); raise OSError for one that is."""
    if result < 0:
        subject = what if about is None else f"{what} {about}"
        raise OSError(-result, f"{subject}: {os.strerror(-result)}")
    return result


def address_of(buffer: ctypes.Array[ctypes.c_char]) -> int:
    """Return where a buffer lies; it must be kept by the caller for as long as that matters."""
    return ctypes.addressof(buffer)
