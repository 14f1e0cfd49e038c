"""TLS below a protocol, with what asyncio's own lacks: one direction may end before the other.

`docker run -i` says that its input has ended with a close_notify, and reads on. The transport that
a protocol is given here reports that as the end of the input, and still writes.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

log = logging.getLogger(__name__)

HANDSHAKE_WITHIN: Final = 30.0  # seconds
PIECE: Final = 256 << 10


class Encrypted(asyncio.Protocol):
    """One connection's TLS: bytes of the socket below, a protocol and its transport above."""

    def __init__(self, context: ssl.SSLContext, above: Callable[[], asyncio.Protocol]) -> None:
        self._context = context
        self._make_above = above
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False  # the handshake is done
        self._heard_end = False
        self._paused = False
        self.raw: asyncio.Transport
        self.above: asyncio.Protocol
        self.tls: ssl.SSLObject

    # What the socket's transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.raw = cast(asyncio.Transport, transport)
        self.tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(HANDSHAKE_WITHIN, self.raw.abort)

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        if not self._is_open:
            self._shake_hands()
        if self._is_open:
            self.read()

    def eof_received(self) -> bool:
        """The client has closed its side of the socket, with or without a word."""
        self._incoming.write_eof()
        if self._is_open:
            self.read()
            self._end_of_input()
        return self._is_open

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._is_open:
            self._is_open = False
            self.above.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._is_open:
            self.above.pause_writing()

    def resume_writing(self) -> None:
        if self._is_open:
            self.above.resume_writing()

    # Steps

    def _shake_hands(self) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as reason:
            log.debug("a client's TLS handshake failed: %s", reason)
            self._flush()  # the alert tells it why
            self.raw.close()
            return
        self._disarm()
        self._flush()
        self._is_open = True
        self.above = self._make_above()
        self.above.connection_made(EncryptedTransport(self))

    def read(self) -> None:
        """Pass on what can be read now."""
        while self._is_open and not self._paused and not self._heard_end:
            try:
                data = self.tls.read(PIECE)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as reason:
                log.debug("a client's TLS is broken: %s", reason)
                self._flush()
                self.raw.abort()
                break
            if data:
                self.above.data_received(data)
            else:
                self._end_of_input()
        self._flush()

    def _end_of_input(self) -> None:
        if self._heard_end or not self._is_open:
            return
        self._heard_end = True
        if not self.above.eof_received():
            self.close()

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if data and self._is_open and not self.raw.is_closing():
            self.tls.write(data)
            self._flush()

    def end_output(self) -> None:
        """Tell the client that no more comes; what it still says is read."""
        if self._is_open:
            try:
                self.tls.unwrap()
            except ssl.SSLError:
                pass  # its own word has not come yet
            self._flush()

    def close(self) -> None:
        """Say so and close, once all is sent."""
        if not self.raw.is_closing():
            self.end_output()
            self.raw.close()

    def pause(self) -> None:
        self._paused = True
        self.raw.pause_reading()

    def resume(self) -> None:
        self._paused = False
        self.raw.resume_reading()
        asyncio.get_running_loop().call_soon(self.read)  # what had been taken from the socket

    def _flush(self) -> None:
        if (data := self._outgoing.read()) and not self.raw.is_closing():
            self.raw.write(data)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class EncryptedTransport(asyncio.Transport):
    """A transport in clear text, for the protocol above."""

    def __init__(self, below: Encrypted) -> None:
        super().__init__()
        self._below = below
        self._ended = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._below.tls
        return self._below.raw.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._below.above = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._below.above

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._below.write(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._ended:
            self._ended = True
            self._below.end_output()

    def pause_reading(self) -> None:
        self._below.pause()

    def resume_reading(self) -> None:
        self._below.resume()

    def is_reading(self) -> bool:
        return self._below.raw.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._below.raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._below.raw.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._below.raw.is_closing()

    def close(self) -> None:
        self._below.close()

    def abort(self) -> None:
        self._below.raw.abort()
