"""The small init that `--init` puts between the kernel and the program."""

from __future__ import annotations

from boxship.errors import NotSupported
from boxship.kernel.syscalls import MACHINE

CODE: dict[str, bytes] = {}


def code_of_init() -> bytes:
    """Return a static program for this machine."""
    if MACHINE not in CODE:
        raise NotSupported(f"no init program for {MACHINE}")
    return CODE[MACHINE]
