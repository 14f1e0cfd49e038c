"""What is sent is kept on the disk first, so that no container waits for a slow client."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import Final

PIECE: Final = 1 << 18
MOST: Final = 1 << 30


class Spool:
    """Pieces that have come, in a file without a name, and those that may come after them."""

    def __init__(self, folder: str, most: int | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by `close`)
        self._most = MOST if most is None else most
        self._rest: Iterator[bytes] = iter(())

    def fill(self, pieces: Iterable[bytes]) -> bool:
        """Keep all there is, which is so if True is returned; of more than `most` bytes the rest
        is read when it is used."""
        self._rest = iter(pieces)
        while self._file.tell() < self._most:
            piece = next(self._rest, None)
            if piece is None:
                return True
            self._file.write(piece)
        return False

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        while piece := self._file.read(PIECE):
            yield piece
        yield from self._rest

    def close(self) -> None:
        self._file.close()
