"""Output of a program without a terminal: frames with a stream's number and a length before each.

byte 0     1 standard output, 2 standard error, 3 a failure of the engine
bytes 4-7  length of what follows, big end first
"""

from __future__ import annotations

from boxship.client.errors import BrokenAnswer

HEADER = 8
STDOUT = 1
STDERR = 2
FAILURE = 3


class Frames:
    """Takes the bytes however they were cut, and gives back what each stream got."""

    __slots__ = ("_left", "_pending", "_stream")

    def __init__(self) -> None:
        self._pending = b""
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return (stream, bytes) pairs in order; frames of one stream in a row come joined."""
        if self._pending:
            data = self._pending + data
        found: list[tuple[int, bytes]] = []
        parts: list[bytes] = []
        stream, left = self._stream, self._left
        at, size = 0, len(data)
        while True:
            if left:
                end = min(at + left, size)
                if end == at:
                    break
                parts.append(data[at:end])
                left -= end - at
                at = end
                if left:
                    break
            if size - at < HEADER:
                break
            following = data[at]
            if following > FAILURE:
                raise BrokenAnswer(f"unrecognized stream: {following}")
            if following != stream and parts:
                found.append((stream, b"".join(parts)))
                parts = []
            stream = following
            left = int.from_bytes(data[at + 4 : at + HEADER], "big")
            at += HEADER
        if parts:
            found.append((stream, b"".join(parts)))
        self._pending = data[at:]
        self._stream, self._left = stream, left
        return found
