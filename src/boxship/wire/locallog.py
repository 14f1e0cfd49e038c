"""The `local` log: records with their size on both sides, so that it reads from either end.

+---------+----------------------+---------+
| size BE | protobuf LogEntry    | size BE |
+---------+----------------------+---------+

LogEntry: 1 source, 2 time in nanoseconds, 3 line, 4 is partial, 5 {1 last, 2 id, 3 ordinal}
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from boxship.errors import InvalidRequest

SIZE: Final = Struct(">I")
LONGEST: Final = 1 << 20  # a record is a line of 16 KiB and a little; more is garbage


class Partial(NamedTuple):
    """Where a piece stands in a line that was too long for one record."""

    last: bool
    id: str
    ordinal: int


class Entry(NamedTuple):
    """One record; `line` is without its newline."""

    source: str
    time: int
    line: bytes
    partial: Partial | None = None


class Encoder:
    """Writes what came from one stream."""

    def __init__(self, source: str) -> None:
        self._name = source.encode()

    def entry(self, line: bytes, time: int, partial: Partial | None = None) -> bytes:
        """Encode one record with its sizes."""
        return self._framed(_head(self._name, time), line, _partial(partial))

    def lines(self, text: bytes, time: int) -> bytes:
        """Encode whole lines that came together; `text` ends with a newline."""
        start = _head(self._name, time)
        return b"".join([self._framed(start, line, b"") for line in text[:-1].split(b"\n")])

    def _framed(self, start: bytes, line: bytes, end: bytes) -> bytes:
        body = b"%b\x1a%b%b%b" % (start, _varint(len(line)), line, end)
        size = SIZE.pack(len(body))
        return size + body + size


def decode(data: bytes, start: int = 0) -> tuple[list[Entry], int]:
    """Read the whole records from `start`; return them and where the first incomplete one begins.

    A size that cannot be raises InvalidRequest: the rest of the file is not readable.
    """
    entries: list[Entry] = []
    # Lines that came together share all that is before their text.
    head, source, time = b"", "", 0
    while start + SIZE.size <= len(data):
        (size,) = SIZE.unpack_from(data, start)
        end = start + 2 * SIZE.size + size
        if size > LONGEST:
            raise InvalidRequest("the log is damaged: a record has an impossible size")
        if end > len(data):
            break
        body = data[start + SIZE.size : end - SIZE.size]
        start = end
        if head and body.startswith(head):
            length, at = _read_varint(body, len(head))
            if at + length == len(body):
                entries.append(Entry(source, time, body[at:]))
                continue
        entry = decode_entry(body)
        entries.append(entry)
        source, time = entry.source, entry.time
        head = _head(source.encode(), time) + b"\x1a"
    return entries, start


def decode_entry(body: bytes) -> Entry:
    """Read one LogEntry; members we do not know are passed over."""
    source, time, line, is_partial, partial = "", 0, b"", False, None
    for number, value in _members(body):
        if number == 1 and isinstance(value, bytes):
            source = value.decode(errors="replace")
        elif number == 2 and isinstance(value, int):
            time = value
        elif number == 3 and isinstance(value, bytes):
            line = value
        elif number == 4:
            is_partial = bool(value)
        elif number == 5 and isinstance(value, bytes):
            partial = _decode_partial(value)
    if is_partial and partial is None:
        partial = Partial(last=False, id="", ordinal=0)
    return Entry(source, time, line, partial)


def _decode_partial(body: bytes) -> Partial:
    last, name, ordinal = False, "", 0
    for number, value in _members(body):
        if number == 1:
            last = bool(value)
        elif number == 2 and isinstance(value, bytes):
            name = value.decode(errors="replace")
        elif number == 3 and isinstance(value, int):
            ordinal = value
    return Partial(last, name, ordinal)


def _head(source: bytes, time: int) -> bytes:
    return b"\x0a" + _varint(len(source)) + source + b"\x10" + _varint(time)


def _partial(partial: Partial | None) -> bytes:
    if partial is None:
        return b""
    name = partial.id.encode()
    body = b"\x08\x01" if partial.last else b""
    body += b"\x12" + _varint(len(name)) + name + b"\x18" + _varint(partial.ordinal)
    return b"\x20\x01\x2a" + _varint(len(body)) + body


def _members(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the members of a protobuf message: numbers as int, the rest as bytes."""
    at = 0
    while at < len(body):
        key, at = _read_varint(body, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _read_varint(body, at)
            yield number, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            size, at = _read_varint(body, at)
        if size is None or at + size > len(body):
            raise InvalidRequest("the log is damaged: a record does not decode")
        yield number, body[at : at + size]
        at += size


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(body) and shift < 70:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise InvalidRequest("the log is damaged: a number does not end")


def ends(data: bytes) -> list[int]:
    """Return 0 and the end of each whole record from the start of `data`."""
    found, at = [0], 0
    while at + SIZE.size <= len(data):
        (size,) = SIZE.unpack_from(data, at)
        if size > LONGEST:
            raise InvalidRequest("the log is damaged: a record has an impossible size")
        at += size + 2 * SIZE.size
        if at > len(data):
            break
        found.append(at)
    return found
