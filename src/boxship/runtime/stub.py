"""The stub: some three hundred bytes of machine code that perform a table of system calls.

It knows nothing but the layout in `laid`. Its source is `stubs/<machine>.S`; a test assembles it
anew where an assembler is at hand.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import Final

from boxship.kernel.syscalls import MACHINE, check, syscall

STUBS: Final[dict[str, bytes]] = {
    "x86_64": bytes.fromhex(
        "53554889fd488b7d00488b7508b8b30100000f054885c074035d5bc3488b5d108b4b40488b7b08f6c1017403"
        "488b3f488b7310f6c1027403488b36488b5318f6c1047403488b124c8b5320f6c10874034d8b124c8b4328f6"
        "c11074034d8b004c8b4b30f6c12074034d8b09488b034885c078040f05eb034889f848894338483d01f0ffff"
        "7322488b4b584885c97410f643410174054885c074054889cbeb814883c360e978ffffff48f7d84889c24883"
        "fa3f760231d2488b4b48480fa3d17230f643410275d948895d1848894520488b5d2848c74528000000004885"
        "db0f853dffffffbf7f000000b8e70000000f05f4488b4b504885c975a1eba4"
    ),
}


class Stub:
    """The machine code, in memory that can be executed and not be written."""

    def __init__(self) -> None:
        stub = STUBS[MACHINE]
        code = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        code[: len(stub)] = stub
        anchor = ctypes.c_char.from_buffer(code)
        address = ctypes.addressof(anchor)
        # Written first and made executable then: never both, which hardened kernels refuse.
        syscall("mprotect", address, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC)
        self._code = (code, anchor)
        self._enter = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(address)

    def clone(self, base: int) -> int:
        """Start a process on the program laid out at `base`; return its pid."""
        return check(self._enter(base), "clone3")
