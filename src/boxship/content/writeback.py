"""Files that somebody will flush: the disk begins with what is there while more is written."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Final

from boxship.kernel.syscalls import syscall
from boxship.lib.beside import Helper

SYNC_FILE_RANGE_WRITE: Final = 2
BEGUN: Final = 16 << 20  # so much is written before the disk is told of it


class Writeback:
    """One file, written from its start."""

    def __init__(self, helper: Helper | None = None) -> None:
        """To find room on the disk takes as long as to write: a helper does it beside."""
        self._told = 0
        self._helper = helper

    def reached(self, file: int, size: int) -> None:
        """Note that so many bytes are there."""
        new = size - self._told
        if new < BEGUN:
            return
        begin = partial(_begin, file, self._told, new)
        self._told = size
        if self._helper is None:
            begin()
        else:
            self._helper.do(begin, light=True)


def _begin(file: int, offset: int, size: int) -> None:
    with suppress(OSError):  # it is good advice, no more
        syscall("sync_file_range", file, offset, size, SYNC_FILE_RANGE_WRITE)
