"""DATA frames of HTTP/2, taken apart beside h2.

h2 looks at each frame for as long as it takes to copy a megabyte, and a folder that a client sends
comes in tens of thousands of frames. So the data of open calls goes straight to them, and h2 is
told no more than where it ends; all other frames are h2's. Who takes the data keeps its windows
too (RFC 9113, section 5.2): h2 never hears of what was taken here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

PREFACE: Final = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
HEAD: Final = struct.Struct(">HBBBL")  # length in two parts, type, flags, stream
UPDATE: Final = struct.Struct(">HBBBLL")
LARGEST: Final = 16384  # bytes of a frame, which is what we tell a peer by telling nothing
TOGETHER: Final = 256 << 10  # bytes of the connection's window that are given back at a time
DATA, HEADERS, PUSH_PROMISE, WINDOW_UPDATE, CONTINUATION = 0, 1, 5, 8, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8


class TooMuch(Exception):
    """A peer sent more than its windows allow."""


class Call(Protocol):
    """What takes the data of one stream."""

    unacknowledged: int

    @property
    def takes_data(self) -> bool: ...
    @property
    def is_counted(self) -> bool: ...
    def take(self, data: memoryview, size: int) -> None: ...


class Inflow:
    """What arrives on one connection, cut into frames."""

    def __init__(
        self, calls: Mapping[int, Call], *, serving: bool, window: int, call_window: int
    ) -> None:
        """Who serves hears a preface first; the windows are those of the connection and a call."""
        self._calls = calls
        self._before = PREFACE if serving else 0
        self._window = window
        self._call_window = call_window
        self._unacknowledged = 0
        self._owed = 0
        self._rest = b""
        self._within_headers = False

    def cut(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes, however they were cut; yield what is for h2, in its order.

        Raises TooMuch. What is yielded must have been heeded when the next is asked for.
        """
        if self._before:
            before, data = data[: self._before], data[self._before :]
            self._before -= len(before)
            yield before
        if self._rest:
            data = self._rest + data
        view, at, length = memoryview(data), 0, len(data)
        while length - at >= HEAD.size:
            high, low, kind, flags, number = HEAD.unpack_from(data, at)
            size = high << 8 | low
            if size > LARGEST:  # h2 will say so
                yield data[at:]
                at = length
                break
            end = at + HEAD.size + size
            if end > length:
                break
            if not (kind == DATA and self._is_taken(view[at + HEAD.size : end], flags, number)):
                if kind in (HEADERS, PUSH_PROMISE, CONTINUATION):
                    self._within_headers = not flags & END_HEADERS
                yield data[at:end]
            elif flags & END_STREAM:
                yield HEAD.pack(0, 0, DATA, END_STREAM, number)
            at = end
        self._rest = data[at:]

    def _is_taken(self, body: memoryview, flags: int, number: int) -> bool:
        """Give a frame's data to its call; False where h2 has to judge."""
        call = self._calls.get(number)
        if self._within_headers or call is None or not call.takes_data or call.is_counted:
            return False
        size = len(body)
        if flags & PADDED:
            if not size or body[0] >= size:
                return False
            body = body[1 : size - body[0]]
        self._unacknowledged += size
        if call.unacknowledged + size > self._call_window or self._unacknowledged > self._window:
            raise TooMuch(f"stream {number} was sent more than its window")
        call.take(body, size)
        return True

    def give_back(self, size: int, number: int | None = None) -> bytes:
        """Return the frames that let a peer send `size` bytes more, also on a call that goes on.

        The connection's window is given back in larger pieces.
        """
        update = b"" if number is None else UPDATE.pack(0, 4, WINDOW_UPDATE, 0, number, size)
        self._owed += size
        if self._owed >= TOGETHER:
            update += UPDATE.pack(0, 4, WINDOW_UPDATE, 0, 0, self._owed)
            self._unacknowledged -= self._owed
            self._owed = 0
        return update
