"""Session keyrings, so that a container does not see the keys of whoever started it."""

from __future__ import annotations

from typing import Final

from boxship.kernel.syscalls import syscall

KEYCTL_JOIN_SESSION_KEYRING: Final = 1


def join_session(name: str) -> int:
    """Leave the session keyring for one called `name`, made if need be; return its serial."""
    return syscall("keyctl", KEYCTL_JOIN_SESSION_KEYRING, name.encode(), about=name)
