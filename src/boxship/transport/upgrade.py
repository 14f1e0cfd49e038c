"""A connection that has stopped speaking HTTP, and how others get at its bytes."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final, cast

RELAY_BUFFER: Final = 256 << 10


class Upgraded:
    """What is left of a connection: a socket, and bytes that had been read already."""

    def __init__(self, transport: asyncio.Transport, pending: bytes) -> None:
        """Take over a transport whose reading is paused and whose writing is done."""
        self._transport = transport
        self._pending = pending
        self._handover: socket.socket | None = None

    async def relay(self, client: Relay) -> None:
        """Let `client` translate between the connection and what `detach` will give away.

        Needed where the bytes on the socket are not the bytes of the stream, as with TLS.
        """
        inner, outer = socket.socketpair()
        outer.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            _, engine = await loop.create_connection(Relay, sock=outer)
        except BaseException:
            inner.close()
            outer.close()
            raise
        self._handover = inner
        client.join(engine)
        self.adopt(client)

    @property
    def encrypted(self) -> bool:
        return self._transport.get_extra_info("ssl_object") is not None

    def adopt(self, protocol: asyncio.Protocol) -> None:
        """Let `protocol` speak on the connection from now on."""
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if self._pending:
            protocol.data_received(self._pending)
            self._pending = b""
        self._transport.resume_reading()

    def detach(self) -> tuple[int, bytes]:
        """Give the socket away: a descriptor of the caller's own, and what was read from it.

        The descriptor is non-blocking. Our own is closed without a shutdown.
        """
        if self._handover is not None:
            return self._handover.detach(), b""
        descriptor = os.dup(self._transport.get_extra_info("socket").fileno())
        self._transport.close()
        return descriptor, self._pending

    def write(self, data: bytes) -> None:
        """Send a last word, for those who keep the connection to themselves."""
        self._transport.write(data)

    def close(self) -> None:
        """End the connection; nobody has taken it over."""
        if self._handover is not None:
            self._handover.close()
        else:
            self._transport.close()


class Relay(asyncio.Protocol):
    """One side of a pair of connections: what arrives here leaves there, no faster."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._other: Relay | None = None
        self._ended = False

    def join(self, other: Relay) -> None:
        """Make a pair."""
        self._other, other._other = other, self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(RELAY_BUFFER)

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._other.send(data)

    def send(self, data: bytes) -> None:
        """Write to this side's own connection."""
        self._transport.write(data)

    def end(self) -> None:
        """This side's connection gets no more."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more arrives on this side."""
        return self._ended

    def eof_received(self) -> bool:
        self._ended = True
        if self._other is None:
            return False
        self._other.end()
        return self._transport.can_write_eof() and not self._other.has_ended

    def connection_lost(self, exc: Exception | None) -> None:
        if self._other is not None:
            self._other._transport.close()

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other._transport.resume_reading()
