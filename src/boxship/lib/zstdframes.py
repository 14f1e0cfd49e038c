"""Where frames of a zstd stream end: the library does not tell of one that was cut short.

frame      magic (4)  descriptor (1)  window, dictionary, size (0-13)  blocks  checksum (0 or 4)
block      header (3): last, kind, size      content: `size` bytes, one if it is a repeated byte
skippable  magic (4)  size (4)  content
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

SKIPPABLE: Final = 0x184D2A50
DICTIONARY: Final = (0, 1, 2, 4)
SIZE: Final = (0, 2, 4, 8)
REPEATED: Final = 1


class Frames:
    """Follows a stream, however it is cut."""

    def __init__(self) -> None:
        self.whole = True  # whether the stream may end here
        self._walk = self._frames()
        self._wanted = next(self._walk)
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        at = 0
        while at < len(data):
            self.whole = False
            if self._wanted < 0:  # content, that nobody looks at
                passed = min(-self._wanted, len(data) - at)
                at += passed
                self._wanted += passed
                if not self._wanted:
                    self._wanted = next(self._walk)
                continue
            missing = self._wanted - len(self._held)
            self._held += data[at : at + missing]
            at += missing
            if len(self._held) == self._wanted:
                held, self._held = self._held, b""
                self._wanted = self._walk.send(held)

    def _frames(self) -> Generator[int, bytes, None]:
        """Yield how many bytes are wanted next, or, negative, how many to pass over."""
        while True:
            magic = int.from_bytes((yield 4), "little")
            if magic & ~0xF == SKIPPABLE:
                size = int.from_bytes((yield 4), "little")
                if size:
                    yield -size
            else:
                yield from self._blocks((yield 1)[0])
            self.whole = True

    def _blocks(self, descriptor: int) -> Generator[int, bytes, None]:
        single = bool(descriptor & 0x20)
        size = SIZE[descriptor >> 6] or int(single)
        yield from _over((not single) + DICTIONARY[descriptor & 3] + size)
        last = False
        while not last:
            header = int.from_bytes((yield 3), "little")
            last = bool(header & 1)
            yield from _over(1 if header >> 1 & 3 == REPEATED else header >> 3)
        yield from _over(4 if descriptor & 4 else 0)


def _over(size: int) -> Generator[int, bytes, None]:
    if size:
        yield -size
