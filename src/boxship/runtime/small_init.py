"""The small init that `--init` puts between the kernel and the program.

It runs the program in a process group of its own (in the foreground of a terminal), hands on every
signal, reaps whatever ends, and ends as the program did. It is a static program of one page, made
here from machine code whose source is `stubs/init_<machine>.S`; a test assembles it anew.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from boxship.errors import NotSupported
from boxship.kernel.syscalls import MACHINE

CODE: Final[dict[str, bytes]] = {
    "x86_64": bytes.fromhex(
        "4889e54881ec0001000048c70424ffffffffbf000000004889e6488d54240841ba08000000b80e0000000f05"
        "4c8b65004c8d6d1049ffcc0f8e23020000498b450080382d75198078012d751380780200750d4983c50849ff"
        "cc0f8e010200004f8d74e508b8390000000f054885c00f88ec01000074744989c7488d3c24488d74244031d2"
        "41ba08000000b8800000000f0585c078e483f811740e89c64c89ffb83e0000000f05ebd148c7c7ffffffff48"
        "8d742410ba010000004531d2b83d0000000f054885c07eb14c39f875db8b44241089c783e77f740881c78000"
        "0000eb030fb6fcb8e70000000f0531ff31f6b86d0000000f05b8270000000f058944241831ffbe1054000048"
        "8d542418b8100000000f05bf02000000488d74240831d241ba08000000b80e0000000f05498b75004889f18a"
        "0148ffc13c2f0f84a300000084c075ef4c89f3488b0b4883c3084885c90f84b500000081395041544875e880"
        "79043d75e2488d59054881ec00200000803b000f84930000004889e74c8d8424001000008a0384c0741348ff"
        "c33c3a740c4c39c773ee880748ffc7ebe7c6072f48ffc7498b75004c8d8424fe1f00008a06880748ffc648ff"
        "c74c39c7734e84c075ed4889e74c89ee4c89f2b83b0000000f0583f8fe749983f8ec749483f8f3748feb1548"
        "89f74c89ee4c89f2b83b0000000f0583f8fe741441bf7e000000488d3595000000ba15000000eb1241bf7f00"
        "0000488d3565000000ba1c0000004989f44989d6488d354e000000ba05000000e837000000498b750031d280"
        "3c1600740548ffc2ebf5e8210000004c89e64c89f2e8160000004489ffb8e70000000f05bf01000000b8e700"
        "00000f05bf02000000b8010000000f05c365786563203a206e6f20737563682066696c65206f722064697265"
        "63746f72790a3a2063616e6e6f742062652065786563757465640a"
    ),
}
ELF_MACHINE: Final = {"x86_64": 62, "aarch64": 183}
LOADED_AT: Final = 0x400000
HEADERS: Final = 64 + 56


@lru_cache(maxsize=1)
def code_of_init() -> bytes:
    """Return the program for this machine, as a file's content."""
    if MACHINE not in CODE:
        raise NotSupported(f"there is no init program for {MACHINE}")
    return program(CODE[MACHINE], ELF_MACHINE[MACHINE])


def program(code: bytes, machine: int) -> bytes:
    """Return an ELF file that begins at the first byte of `code`; nothing in it is writable."""
    size = HEADERS + len(code)
    executable, current = 2, 1
    header = struct.pack(
        "<4s5B7xHHIQQQIHHHHHH",
        b"\x7fELF", 2, 1, current, 0, 0,
        executable, machine, current, LOADED_AT + HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    load, readable_executable = 1, 5
    segment = struct.pack(
        "<IIQQQQQQ", load, readable_executable, 0, LOADED_AT, LOADED_AT, size, size, 0x1000
    )
    return header + segment + code
