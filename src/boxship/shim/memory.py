"""What a process does with memory that it has freed: back to the kernel, or kept for the next."""

from __future__ import annotations

import ctypes
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_TOP_PAD: Final = -2
M_MMAP_THRESHOLD: Final = -3
M_ARENA_MAX: Final = -8
_LARGE: Final = 48 << 10
_PIECE: Final = 1 << 20  # of a stream, at most


def keep_small() -> None:
    """Have glibc map large blocks one by one, and never grow that limit by itself.

    What a burst of output took is gone again after it. Other C libraries have no such knobs.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(M_TRIM_THRESHOLD, 64 << 10)
        libc.mallopt(M_TOP_PAD, 0)
    trim()


def keep_pieces() -> None:
    """Have the room of one piece of a stream used for the next one.

    By itself glibc gives back each, and takes the next anew: a fault for every page of it, which
    is half of the time that a large body takes to arrive. All threads share one heap: of Python's,
    one allocates at a time, and what each keeps in a heap of its own is kept by all of them.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, 1)
        libc.mallopt(M_MMAP_THRESHOLD, _PIECE)
        libc.mallopt(M_TRIM_THRESHOLD, _PIECE)


def trim() -> None:
    """Give back what is free now."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
