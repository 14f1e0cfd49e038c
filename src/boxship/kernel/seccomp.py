"""Loading a system call filter."""

from __future__ import annotations

import ctypes
import struct
from typing import Final

from boxship.kernel.syscalls import address_of, syscall

SECCOMP_SET_MODE_FILTER: Final = 1
SECCOMP_GET_ACTION_AVAIL: Final = 2
FILTER_FLAG_TSYNC: Final = 1
FILTER_FLAG_LOG: Final = 2
FILTER_FLAG_SPEC_ALLOW: Final = 4
FILTER_FLAG_NEW_LISTENER: Final = 8
FILTER_FLAG_WAIT_KILLABLE_RECV: Final = 32

INSTRUCTION: Final = 8  # bytes in one instruction of a filter


def load(program: bytes, flags: int = 0) -> int:
    """Put the calling thread under a filter (classic BPF instructions), for ever.

    Needs CAP_SYS_ADMIN or no_new_privs. With FILTER_FLAG_NEW_LISTENER returns the listener.
    """
    code = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxQ", len(program) // INSTRUCTION, address_of(code))
    return syscall("seccomp", SECCOMP_SET_MODE_FILTER, flags, fprog)


def knows_action(action: int) -> bool:
    """Whether the kernel can perform a filter's verdict."""
    try:
        syscall("seccomp", SECCOMP_GET_ACTION_AVAIL, 0, struct.pack("I", action))
    except OSError:
        return False
    return True
