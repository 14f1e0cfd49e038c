"""Two streams in one: output and error output of a program without a terminal.

0        1 2 3    4         8
+--------+-------+---------+------------------+
| stream | zeros | size BE | size bytes       |   ... the next frame
+--------+-------+---------+------------------+
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from boxship.errors import InvalidRequest

HEADER: Final = Struct(">B3xI")
LONGEST: Final = 64 << 20  # a longer frame is taken for garbage: nobody sends such


class Stream(IntEnum):
    """What a frame carries; SYSTEM is a message of the engine itself."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    SYSTEM = 3


class Frame(NamedTuple):
    stream: Stream
    payload: bytes


def header(stream: int, size: int) -> bytes:
    """Return the eight bytes that go before `size` bytes of `stream`."""
    return HEADER.pack(stream, size)


def frame(stream: int, payload: bytes) -> bytes:
    """Return `payload` as one frame."""
    return HEADER.pack(stream, len(payload)) + payload


class Demultiplexer:
    """Takes a stream of frames apart again."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take the next bytes, however they were cut, and yield the frames they complete."""
        self._pending += data
        start = 0
        try:
            while len(self._pending) - start >= HEADER.size:
                stream, size = HEADER.unpack_from(self._pending, start)
                if stream > Stream.SYSTEM or size > LONGEST:
                    raise InvalidRequest("unrecognized input header: not a multiplexed stream")
                end = start + HEADER.size + size
                if len(self._pending) < end:
                    return
                payload = bytes(self._pending[start + HEADER.size : end])
                start = end
                yield Frame(Stream(stream), payload)
        finally:
            del self._pending[:start]

    @property
    def is_complete(self) -> bool:
        """Tell whether the bytes so far end where a frame ends."""
        return not self._pending
