"""A range of addresses kept free, the same in every process forked from the one that chose it.

What one of these lays out for it, another can perform: its own planning is spared.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Any, Final

from boxship.kernel.syscalls import syscall

SIZE: Final = 4 << 20
_FIXED: Final = 0x10
_NORESERVE: Final = 0x4000
_KEPT_FREE: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE


class Stage:
    """Chosen once, before any fork."""

    def __init__(self) -> None:
        self.address = syscall("mmap", 0, SIZE, 0, _KEPT_FREE, -1, 0)

    def show(self, shared: int, size: int) -> Any:
        """Map the start of a file here; return the memory."""
        writable = mmap.PROT_READ | mmap.PROT_WRITE
        syscall("mmap", self.address, size, writable, mmap.MAP_SHARED | _FIXED, shared, 0)
        return (ctypes.c_char * size).from_address(self.address)

    def clear(self) -> None:
        """Keep the whole range free again."""
        syscall("mmap", self.address, SIZE, 0, _KEPT_FREE | _FIXED, -1, 0)
