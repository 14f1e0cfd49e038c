"""Where the spawner's interpreter begins."""

from __future__ import annotations

import socket

from boxship.shim.host import ThisHost
from boxship.shim.spawner import serve


def main(descriptor: int, filters: str | None = None) -> None:
    """Serve the daemon at the other end of `descriptor`; keep compiled filters in a folder."""
    serve(socket.socket(fileno=descriptor), ThisHost(filters))
