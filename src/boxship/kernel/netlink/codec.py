"""Netlink messages as bytes: a header, a fixed part, and attributes of type, length and value.

    message    length u32 | type u16 | flags u16 | sequence u32 | port u32 | body
    attribute  length u16 | type u16 | value, padded to 4 bytes

Numbers are in host order, save those inside nfnetlink attributes, which are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

NLM_F_REQUEST: Final = 0x1
NLM_F_MULTI: Final = 0x2
NLM_F_ACK: Final = 0x4
NLM_F_ACK_TLVS: Final = 0x200
NLM_F_CAPPED: Final = 0x100
NLM_F_DUMP: Final = 0x300
NLM_F_REPLACE: Final = 0x100
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3

NESTED: Final = 0x8000
TYPE_MASK: Final = 0x3FFF  # without the flags "nested" and "network byte order"

HEADER: Final = struct.Struct("IHHII")
_ATTRIBUTE: Final = struct.Struct("HH")
_U32: Final = struct.Struct("I")


@dataclass(frozen=True, slots=True)
class Request:
    """One message to be sent; the socket adds sequence number and header."""

    type: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One message received."""

    type: int
    flags: int
    sequence: int
    port: int
    body: bytes


def attribute(kind: int, value: bytes) -> bytes:
    """Encode one attribute."""
    size = 4 + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + b"\0" * (-size % 4)


def nested(kind: int, *values: bytes) -> bytes:
    """Encode an attribute that holds attributes."""
    return attribute(kind | NESTED, b"".join(values))


def number(kind: int, value: int) -> bytes:
    """Encode a 32-bit attribute in host order."""
    return attribute(kind, _U32.pack(value))


def text(kind: int, value: str) -> bytes:
    """Encode a NUL-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each attribute; what is cut short ends the iteration."""
    while start + 4 <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, start)
        if size < 4 or start + size > len(data):
            return
        yield kind & TYPE_MASK, data[start + 4 : start + size]
        start += (size + 3) & ~3


def attribute_map(data: bytes, start: int = 0) -> dict[int, bytes]:
    """Return the attributes by type; of several of one type the last."""
    return dict(attributes(data, start))


def to_text(value: bytes) -> str:
    """Decode a NUL-terminated string."""
    return value.split(b"\0", 1)[0].decode(errors="replace")


def to_number(value: bytes) -> int:
    """Decode a host-order number of any size."""
    return int.from_bytes(value, "little" if struct.pack("H", 1)[0] else "big")


def messages(data: bytes) -> Iterator[Message]:
    """Cut one datagram into its messages."""
    start = 0
    while start + HEADER.size <= len(data):
        size, kind, flags, sequence, port = HEADER.unpack_from(data, start)
        if size < HEADER.size or start + size > len(data):
            return
        yield Message(kind, flags, sequence, port, data[start + HEADER.size : start + size])
        start += (size + 3) & ~3
