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
    "aarch64": bytes.fromhex(
        "e90300aa200140f9210540f9683680d2010000d4400000b4c0035fd62a0940f94b4140b9400540f94b000036"
        "000040f9410940f94b000836210040f9420d40f94b001036420040f9431140f94b001836630040f9441540f9"
        "4b002036840040f9451940f94b002836a50040f9480140f94800f8b7010000d4401d00f91ffc3fb122010054"
        "4c2d40f9ac0000b44b004036600000b4ea030caae2ffff174a810191e0ffff17e00300cb1ffc00f10d909f9a"
        "4c2540f98c25cd9a6c0100370bff4f372a0d00f9201100f92a1540f93f1500f98afaffb5e00f80d2c80b80d2"
        "010000d4000020d44c2940f96cfdffb5ecffff17"
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
