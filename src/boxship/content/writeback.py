"""Files that somebody will flush: the disk begins with what is there while more is written."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from boxship.kernel.syscalls import syscall

SYNC_FILE_RANGE_WRITE: Final = 2
BEGUN: Final = 16 << 20  # so much is written before the disk is told of it


class Writeback:
    """One file, written from its start."""

    def __init__(self) -> None:
        self._told = 0

    def reached(self, file: int, size: int) -> None:
        """Note that so many bytes are there."""
        new = size - self._told
        if new >= BEGUN:
            with suppress(OSError):  # it is good advice, no more
                syscall("sync_file_range", file, self._told, new, SYNC_FILE_RANGE_WRITE)
            self._told = size
