"""Where the spawner's interpreter begins."""

from __future__ import annotations

import socket

from boxship.shim.host import ThisHost
from boxship.shim.spawner import serve


def main(descriptor: int) -> None:
    """Serve the daemon at the other end of `descriptor`."""
    serve(socket.socket(fileno=descriptor), ThisHost())
