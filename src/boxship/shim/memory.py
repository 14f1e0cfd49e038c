"""Keeping a process small: what it frees goes back to the kernel."""

from __future__ import annotations

import ctypes
from typing import Final

M_TRIM_THRESHOLD: Final = -1
M_TOP_PAD: Final = -2
M_MMAP_THRESHOLD: Final = -3
_LARGE: Final = 48 << 10


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


def trim() -> None:
    """Give back what is free now."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
