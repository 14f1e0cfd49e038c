"""Two ends of a connection in memory, for protocols that asyncio would drive."""

from __future__ import annotations

import asyncio
from typing import Any


class MemoryTransport(asyncio.Transport):
    """Hands what is written to the other end's protocol, a moment later."""

    def __init__(self) -> None:
        super().__init__()
        self.other: MemoryTransport | None = None
        self.protocol: asyncio.Protocol | None = None
        self.closing = False
        self.piece = 0  # at most so many bytes at a time, 0 for all

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: Any) -> None:
        assert self.other is not None
        if not self.closing:
            asyncio.get_running_loop().call_soon(self.other.arrive, bytes(data))

    def arrive(self, data: bytes) -> None:
        step = self.piece or len(data) or 1
        for at in range(0, len(data), step):
            if self.protocol is not None and not self.closing:
                self.protocol.data_received(data[at : at + step])

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        for end in (self, self.other):
            if end is not None and not end.closing:
                loop.call_soon(end.lose)

    abort = close

    def lose(self) -> None:
        if not self.closing:
            self.closing = True
            if self.protocol is not None:
                self.protocol.connection_lost(None)


class StuckTransport(MemoryTransport):
    """Keeps what is written, since nobody reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.unread = 0

    def write(self, data: Any) -> None:
        self.unread += len(data)

    def get_write_buffer_size(self) -> int:
        return self.unread


def connect(one: asyncio.Protocol, two: asyncio.Protocol) -> tuple[MemoryTransport, ...]:
    """Join two protocols."""
    ends = (MemoryTransport(), MemoryTransport())
    ends[0].other, ends[1].other = ends[1], ends[0]
    for end, protocol in zip(ends, (one, two), strict=True):
        end.protocol = protocol
    for end, protocol in zip(ends, (one, two), strict=True):
        protocol.connection_made(end)
    return ends
