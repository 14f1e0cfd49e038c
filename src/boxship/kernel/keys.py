"""Small secrets that the kernel keeps in memory for a user, see keyrings(7).

A key lies in a user's own keyring, which goes with the user's last process, and is linked from the
persistent one too, where there is one: that outlives logging out, and expires some days after its
last use. Nothing of it reaches a disk, and a restart forgets all.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from boxship.kernel.syscalls import syscall

USER_KEYRING: Final = -4
PROCESS_KEYRING: Final = -2
KEYCTL_SETPERM: Final = 5
KEYCTL_LINK: Final = 8
KEYCTL_UNLINK: Final = 9
KEYCTL_SEARCH: Final = 10
KEYCTL_READ: Final = 11
KEYCTL_SET_TIMEOUT: Final = 15
KEYCTL_INVALIDATE: Final = 21
KEYCTL_GET_PERSISTENT: Final = 22
# All for whoever possesses it and for its owner, nothing for group and others.
OWNERS_ONLY: Final = 0x3F3F0000
LARGEST: Final = 4096
GONE: Final = (errno.ENOKEY, errno.EKEYEXPIRED, errno.EKEYREVOKED, errno.ENOENT)


def read(name: str) -> bytes | None:
    """Return what the user's key called `name` holds, None where there is none.

    OSError where the kernel has no keyrings, or something keeps us from them.
    """
    for serial in _found(name):
        buffer = ctypes.create_string_buffer(LARGEST)
        size = syscall("keyctl", KEYCTL_READ, serial, buffer, LARGEST, about=name)
        return buffer.raw[: min(size, LARGEST)]
    return None


def write(name: str, secret: bytes, *, seconds: int = 0) -> None:
    """Have the kernel keep `secret` under `name`, replacing what was there; 0 is without an end."""
    _possess()
    serial = syscall(
        "add_key", b"user\0", name.encode() + b"\0", secret, len(secret), USER_KEYRING, about=name
    )
    syscall("keyctl", KEYCTL_SETPERM, serial, OWNERS_ONLY, about=name)
    if seconds:
        syscall("keyctl", KEYCTL_SET_TIMEOUT, serial, seconds, about=name)
    for keyring in _keyrings()[1:]:
        with suppress(OSError):  # a second place, not the first: it may be full or forbidden
            syscall("keyctl", KEYCTL_LINK, serial, keyring, about=name)


def forget(name: str) -> None:
    """Remove the user's key called `name`, wherever it is linked from."""
    for serial in _found(name):
        syscall("keyctl", KEYCTL_INVALIDATE, serial, about=name)


def _found(name: str) -> Iterator[int]:
    """Yield the keys called `name`, from one keyring after the other."""
    _possess()
    for keyring in _keyrings():
        try:
            serial = _search(keyring, name)
        except OSError as error:
            if error.errno in GONE:
                continue
            raise
        yield serial


def _search(keyring: int, name: str) -> int:
    about = f"search {name}"
    return syscall(
        "keyctl", KEYCTL_SEARCH, keyring, b"user\0", name.encode() + b"\0", 0, about=about
    )


def _possess() -> None:
    """Make the user's keyring this process's: not every session has it.

    Who only owns a key may do less with it. A service of systemd's has a session of its own.
    """
    with suppress(OSError):
        syscall("keyctl", KEYCTL_LINK, USER_KEYRING, PROCESS_KEYRING)


def _keyrings() -> list[int]:
    """Return the keyrings to look in: the user's, and the persistent one where there is one."""
    found = [USER_KEYRING]
    with suppress(OSError):  # kernels may be built without
        uid = os.geteuid()
        found.append(syscall("keyctl", KEYCTL_GET_PERSISTENT, uid, PROCESS_KEYRING))
    return found
