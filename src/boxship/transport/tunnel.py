"""A connection inside something else: its bytes travel as a call's messages, or by a program."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, Protocol, Self

from boxship.errors import BoxshipError
from boxship.spec.buildkit import control_pb2 as pb
from boxship.transport.http2 import Stream

PIECE: Final = 32 << 10
HIGH: Final = 1 << 20
LOW: Final = 256 << 10


class Carrier(Protocol):
    """What bytes travel by, in both directions. BoxshipError ends the connection."""

    async def take(self) -> bytes:
        """Return what has come, nothing at the end."""

    async def give(self, data: bytes) -> None:
        """Send."""


class InCall:
    """A call whose messages are the bytes; a Carrier."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def take(self) -> bytes:
        while (message := await self._stream.receive()) is not None:
            if data := pb.BytesMessage.FromString(message).data:
                return data
        return b""

    async def give(self, data: bytes) -> None:
        pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
        await self._stream.send(
            *(pb.BytesMessage(data=piece).SerializeToString() for piece in pieces)
        )


class Tunnel:
    """Lets a protocol speak through a carrier, for the length of the block."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._transport: _Transport | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._transport is not None:
            self._transport.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def adopt(self, protocol: asyncio.Protocol) -> None:
        """Let `protocol` speak on the connection from now on."""
        self._transport = transport = _Transport(protocol)
        protocol.connection_made(transport)
        self._tasks = [
            asyncio.ensure_future(self._read(transport, protocol)),
            asyncio.ensure_future(self._write(transport)),
        ]

    async def _read(self, transport: _Transport, protocol: asyncio.Protocol) -> None:
        try:
            while data := await self._carrier.take():
                protocol.data_received(data)
        except (BoxshipError, ValueError):
            pass
        finally:
            transport.close()

    async def _write(self, transport: _Transport) -> None:
        try:
            while data := await transport.next():
                await self._carrier.give(data)
        except BoxshipError:
            pass
        finally:
            transport.lose()


class _Transport(asyncio.Transport):
    """Keeps what is written until the call takes it."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._pending = bytearray()
        self._written = asyncio.Event()
        self._closing = False
        self._lost = False
        self._paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return len(self._pending)

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: Any) -> None:
        self._pending += data
        self._written.set()
        if len(self._pending) > HIGH and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    async def next(self) -> bytes:
        """Return what is to be sent; nothing at the end."""
        while not self._pending and not self._closing:
            self._written.clear()
            await self._written.wait()
        data = bytes(self._pending)
        self._pending.clear()
        if self._paused and len(self._pending) < LOW:
            self._paused = False
            self._protocol.resume_writing()
        return data

    def close(self) -> None:
        self._closing = True
        self._written.set()

    abort = close

    def lose(self) -> None:
        self._closing = True
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(None)
