"""Bytes of a stream that lie in a file, and may go from there to where they are wanted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

PIECE: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class FilePart:
    """The first `size` bytes of an open file; whoever makes it closes the file after its use."""

    file: int
    size: int

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes; OSError where the file has fewer."""
        at = 0
        while at < self.size:
            piece = os.pread(self.file, min(PIECE, self.size - at), at)
            if not piece:
                raise OSError(f"a file is shorter than the {self.size} bytes that it had")
            at += len(piece)
            yield piece


def read(parts: Iterable[bytes | FilePart]) -> Iterator[bytes]:
    """Yield a stream as bytes alone."""
    for part in parts:
        if isinstance(part, FilePart):
            yield from part.pieces()
        else:
            yield part
