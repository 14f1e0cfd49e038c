"""RFC 6455 from the server's side, without a socket.

    frame: FIN RSV(3) opcode(4) | MASK length(7) | length16 or length64 | mask(4) | payload

A client's frames are masked, ours are not. Fragments are payload like any other: who uses this
carries a stream of bytes, and message boundaries mean nothing to it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTROL_LIMIT: Final = 125
PAYLOAD_LIMIT: Final = 1 << 62


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class ProtocolFault(Exception):
    """The client breaks the protocol; `code` says how in a close frame."""

    def __init__(self, message: str, code: int = 1002) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Piece:
    """Payload as it arrives, or a whole control frame."""

    opcode: Opcode
    payload: bytes


def accept(key: str) -> str:
    """Return what proves that a greeting was understood."""
    return base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode()


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """Return one whole frame, unmasked."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Return the frame that ends a conversation."""
    words = reason.encode()[: CONTROL_LIMIT - 2].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + words)


def unmask(payload: bytes, mask: bytes, offset: int) -> bytes:
    """Undo a client's mask for bytes that begin `offset` into their frame."""
    size = len(payload)
    turned = mask[offset % 4 :] + mask[: offset % 4]
    pattern = (turned * (size // 4 + 1))[:size]
    plain = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
    return plain.to_bytes(size, "big")


class Decoder:
    """Cuts what a client sends into pieces; data frames of any size pass through unstored."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._opcode: Opcode | None = None  # of the frame whose payload is being read
        self._left = 0
        self._read = 0
        self._mask = b""
        self._message = False  # is a fragmented message open
        self._last = True

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take the next bytes, however they were cut, and yield what they complete."""
        self._pending += data
        while True:
            if self._opcode is None and not self._take_header():
                return
            opcode = self._opcode
            assert opcode is not None
            if opcode >= Opcode.CLOSE and len(self._pending) < self._left:
                return
            if self._left and not self._pending:
                return
            payload = self._take_payload()
            if not self._left:
                self._opcode = None
            if payload or opcode >= Opcode.CLOSE:
                yield Piece(opcode, payload)

    def _take_payload(self) -> bytes:
        taken = bytes(self._pending[: self._left])
        del self._pending[: len(taken)]
        payload = unmask(taken, self._mask, self._read)
        self._read += len(taken)
        self._left -= len(taken)
        return payload

    def _take_header(self) -> bool:
        """Read the next frame's header; False when not all of it is there."""
        data = self._pending
        if len(data) < 2:
            return False
        first, second = data[0], data[1]
        size, at = second & 0x7F, 2
        extra = {126: 2, 127: 8}.get(size, 0)
        if len(data) < at + extra + 4:
            return False
        if extra:
            size = int.from_bytes(data[at : at + extra], "big")
            if size < (126 if extra == 2 else 1 << 16):
                raise ProtocolFault("a length is not written in its shortest form")
            at += extra
        self._check(first, second, size)
        self._mask = bytes(data[at : at + 4])
        del data[: at + 4]
        self._opcode, self._left, self._read = Opcode(first & 0x0F), size, 0
        return True

    def _check(self, first: int, second: int, size: int) -> None:
        if first & 0x70:
            raise ProtocolFault("reserved bits are set")
        if not second & 0x80:
            raise ProtocolFault("a client's frame is not masked")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise ProtocolFault("unknown opcode") from None
        final = bool(first & 0x80)
        if opcode >= Opcode.CLOSE:
            if not final or size > CONTROL_LIMIT:
                raise ProtocolFault("a control frame is too large or cut")
            return
        if size > PAYLOAD_LIMIT:
            raise ProtocolFault("a frame is too large", 1009)
        if (opcode is Opcode.CONTINUATION) != self._message:
            raise ProtocolFault("a message's parts are out of order")
        self._message = not final
