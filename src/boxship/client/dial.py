"""A connected socket for a target. A unix socket needs no module but the C one beneath `socket`."""

from __future__ import annotations

import _socket

from boxship.client.errors import CannotConnect, NotPermitted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from boxship.client.target import Target

    class Socket(Protocol):
        """What the client needs of a connection; plain and TLS sockets both have it."""

        def sendall(self, data: bytes | bytearray | memoryview, /) -> None: ...
        def recv(self, size: int, flags: int = 0, /) -> bytes: ...
        def shutdown(self, how: int, /) -> None: ...
        def close(self) -> None: ...
        def fileno(self) -> int: ...
        def settimeout(self, seconds: float | None, /) -> None: ...


def connect(target: Target) -> Socket:
    """Return a connected socket; CannotConnect when nobody listens."""
    if target.scheme != "unix":
        from boxship.client.remote import connect_remote

        return connect_remote(target)
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.connect(target.path)
    except PermissionError as error:
        connection.close()
        raise NotPermitted(target.url) from error
    except OSError as error:
        connection.close()
        raise CannotConnect(target.url) from error
    return connection
