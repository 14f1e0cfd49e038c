"""Telling a service manager how far the daemon is: sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


def tell(environment: Mapping[str, str], state: str) -> None:
    """Send a state such as READY=1; without a service manager nothing happens."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.sendto(f"{state}\nMAINPID={os.getpid()}".encode(), address)
