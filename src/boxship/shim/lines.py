"""Output cut into what a log keeps: whole lines, and pieces of lines that are too long."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from boxship.wire.jsonlog import LONGEST


class Kind(Enum):
    LINES = "lines"  # whole lines, each ended by a newline
    PIECE = "piece"  # the line goes on, or its end never came
    END = "end"  # the last piece of a line, ended by a newline


class Cut(NamedTuple):
    kind: Kind
    text: bytes


class Lines:
    """Cuts one stream. A line that has no end yet is held back, at most LONGEST bytes of it."""

    def __init__(self) -> None:
        self._pending = b""
        self._inside = False  # of a line whose first pieces are out already

    def feed(self, data: bytes) -> Iterator[Cut]:
        """Take the next output and yield what it completes."""
        text = self._pending + data if self._pending else data
        start = 0
        while True:
            if (end := _lines_end(text, start)) > start:
                yield from self._whole(text[start:end])
                start = end
            if len(text) - start < LONGEST:
                break
            cut = _before_character(text, start + LONGEST)
            self._inside = True
            yield Cut(Kind.PIECE, text[start:cut])
            start = cut
        self._pending = text[start:]

    def _whole(self, text: bytes) -> Iterator[Cut]:
        if self._inside:
            self._inside = False
            end = text.index(b"\n") + 1
            yield Cut(Kind.END, text[:end])
            text = text[end:]
        if text:
            yield Cut(Kind.LINES, text)

    def finish(self) -> Iterator[Cut]:
        """Yield what is left when no more output comes."""
        text, self._pending = self._pending, b""
        if text:
            yield Cut(Kind.PIECE, text)


def _lines_end(text: bytes, start: int) -> int:
    """Return the end of the last line such that it and all before it, from `start`, are short.

    Leaps from newline to newline, as far apart as one line may be long.
    """
    while (end := text.rfind(b"\n", start, start + LONGEST)) >= 0:
        start = end + 1
    return start


def _before_character(text: bytes, end: int) -> int:
    """Return `end`, moved back to where a character of UTF-8 begins that it would cut."""
    for back in (1, 2, 3):
        lead = text[end - back]
        if lead < 0x80:
            break
        if lead >= 0xC0:
            size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return end - back if size > back else end
    return end
