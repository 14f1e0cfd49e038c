"""D-Bus messages: method calls written, replies read. Only what calls on systemd's manager take.

    byte order, type, flags, version | length of the body | serial | fields | padding to 8 | body

Types: y byte, b bool, u uint32, t uint64, s string, o object path, g signature, a array,
( ) struct, v variant. A variant is given as a pair of its signature and its value.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from boxship.errors import Unavailable

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SIGNATURE = 1, 2, 3, 4, 5, 6, 8
LARGEST: Final = 1 << 20
HEAD: Final = 16  # bytes up to the fields
_NUMBERS: Final = {"y": ("B", 1), "b": ("I", 4), "i": ("i", 4), "u": ("I", 4), "t": ("Q", 8)}
_ALIGNED: Final = {"s": 4, "o": 4, "g": 1, "a": 4, "(": 8, "v": 1}


class BadMessage(Unavailable):
    """The other side says something that is no message, or one larger than any should be."""

    def __init__(self) -> None:
        super().__init__("the bus answers with something that cannot be read")


@dataclass(frozen=True, slots=True)
class Message:
    """What was answered."""

    type: int
    reply_to: int
    error: str
    body: tuple[Any, ...]


def call(
    serial: int, path: str, interface: str, member: str, signature: str = "", *values: Any,
    destination: str = "",
) -> bytes:  # fmt: skip
    """Return a method call."""
    body = _Writer()
    for kind, value in zip(parts(signature), values, strict=True):
        body.put(kind, value)
    fields: list[tuple[int, tuple[str, str]]] = [
        (PATH, ("o", path)), (INTERFACE, ("s", interface)), (MEMBER, ("s", member)),
    ]  # fmt: skip
    if destination:
        fields.append((DESTINATION, ("s", destination)))
    if signature:
        fields.append((SIGNATURE, ("g", signature)))
    head = _Writer(struct.pack("<BBBBII", ord("l"), CALL, 0, 1, len(body.data), serial))
    head.put("a(yv)", fields)
    head.align(8)
    return bytes(head.data + body.data)


def length(head: bytes) -> int:
    """Return how long the whole message is whose first 16 bytes these are."""
    if len(head) < HEAD or head[0] != ord("l"):
        raise BadMessage
    body, fields = struct.unpack_from("<I", head, 4)[0], struct.unpack_from("<I", head, 12)[0]
    total = -(-(HEAD + fields) // 8) * 8 + body
    if total > LARGEST:
        raise BadMessage
    return int(total)


def read(data: bytes) -> Message:
    """Return a message that is there as a whole."""
    try:
        reader = _Reader(data, 12)
        fields: dict[int, Any] = dict(reader.take("a(yv)"))
        reader.align(8)
        signature = fields.get(SIGNATURE, "")
        body = tuple(reader.take(kind) for kind in parts(signature))
    except (struct.error, LookupError, ValueError, TypeError, RecursionError):
        raise BadMessage from None
    return Message(data[1], fields.get(REPLY_SERIAL, 0), fields.get(ERROR_NAME, ""), body)


def parts(signature: str) -> list[str]:
    """Split a signature into those of single values."""
    found, at = [], 0
    while at < len(signature):
        end = _end(signature, at)
        found.append(signature[at:end])
        at = end
    return found


def _end(signature: str, at: int) -> int:
    if signature[at] == "a":
        return _end(signature, at + 1)
    if signature[at] != "(":
        return at + 1
    at += 1
    while signature[at] != ")":
        at = _end(signature, at)
    return at + 1


def _alignment(kind: str) -> int:
    return _NUMBERS[kind][1] if kind in _NUMBERS else _ALIGNED[kind[0]]


class _Writer:
    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)

    def align(self, to: int) -> None:
        self.data += bytes(-len(self.data) % to)

    def put(self, kind: str, value: Any) -> None:
        self.align(_alignment(kind))
        if kind in _NUMBERS:
            self.data += struct.pack(f"<{_NUMBERS[kind][0]}", value)
        elif kind in "so":
            text = value.encode()
            self.data += struct.pack("<I", len(text)) + text + b"\0"
        elif kind == "g":
            self.data += bytes([len(value)]) + value.encode() + b"\0"
        elif kind == "v":
            self.put("g", value[0])
            self.put(*value)
        elif kind[0] == "a":
            self._put_array(kind[1:], value)
        else:
            for part, one in zip(parts(kind[1:-1]), value, strict=True):
                self.put(part, one)

    def _put_array(self, kind: str, values: Sequence[Any]) -> None:
        at = len(self.data)
        self.data += bytes(4)
        self.align(_alignment(kind))
        begin = len(self.data)
        for value in values:
            self.put(kind, value)
        struct.pack_into("<I", self.data, at, len(self.data) - begin)


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def align(self, to: int) -> None:
        self._at += -self._at % to

    def take(self, kind: str) -> Any:
        self.align(_alignment(kind))
        if kind in _NUMBERS:
            form, size = _NUMBERS[kind]
            (value,) = struct.unpack_from(f"<{form}", self._data, self._at)
            self._at += size
            return value
        if kind in ("s", "o"):
            return self._text(self.take("u"))
        if kind == "g":
            return self._text(self.take("y"))
        if kind == "v":
            return self.take(self.take("g"))
        if kind[0] == "a":
            return self._array(kind[1:])
        return tuple(self.take(part) for part in parts(kind[1:-1]))

    def _text(self, size: int) -> str:
        text = self._data[self._at : self._at + size]
        if len(text) != size:
            raise ValueError(size)
        self._at += size + 1
        return text.decode()

    def _array(self, kind: str) -> list[Any]:
        size = self.take("u")
        self.align(_alignment(kind))
        end = self._at + size
        if end > len(self._data):
            raise ValueError(size)
        found = []
        while self._at < end:
            found.append(self.take(kind))
        return found
