"""The formats of log files that can be read back, behind one Protocol."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from boxship.wire import jsonlog, locallog, multiplex

BLOCK: Final = 64 << 10
_NUMBERS: Final = {"stdout": 1, "stderr": 2}
_HEADER: Final = multiplex.HEADER.pack
_NOTHING: Final[Mapping[str, str]] = {}


class Line(NamedTuple):
    """One record. `time` has nine digits, so that it compares; `text` has its newline."""

    stream: int
    text: bytes
    time: str
    attrs: Mapping[str, str]


class Format(Protocol):
    def whole(self, data: bytes) -> int:
        """Return how many bytes from the start of `data` are whole records."""

    def lines(self, data: bytes) -> Sequence[Line]:
        """Decode whole records."""

    def plain(self, data: bytes, *, frames: bool) -> bytes:
        """Decode whole records to what a client gets who wants all of them and nothing else."""

    def start_of_last(self, fd: int, size: int, count: int) -> tuple[int, int]:
        """Return where the last `count` records of a file begin, and how many they are."""

    def skip(self, data: bytes, count: int) -> int:
        """Return where the record after the first `count` begins in whole records."""

    def count(self, data: bytes) -> int:
        """Return how many records there are in whole records."""


class JsonFormat:
    """A line is an object."""

    def whole(self, data: bytes) -> int:
        return data.rfind(b"\n") + 1

    def lines(self, data: bytes) -> Sequence[Line]:
        return [
            Line(
                _NUMBERS.get(record.stream, 1),
                record.log.encode(errors="replace"),
                jsonlog.comparable(record.time),
                record.attrs,
            )
            for record in jsonlog.decode(data)
        ]

    def plain(self, data: bytes, *, frames: bool) -> bytes:
        records = jsonlog.decode(data)
        if not frames:
            return "".join([record.log for record in records]).encode(errors="replace")
        parts: list[bytes] = []
        number = _NUMBERS.get
        for record in records:
            text = record.log.encode(errors="replace")
            parts += (_HEADER(number(record.stream, 1), len(text)), text)
        return b"".join(parts)

    def start_of_last(self, fd: int, size: int, count: int) -> tuple[int, int]:
        found, at = 0, size
        first = True
        while at > 0:
            block = os.pread(fd, min(BLOCK, at), max(at - BLOCK, 0))
            start = at - len(block)
            end = len(block)
            if first:
                end = block.rfind(b"\n")  # it ends the last record; what follows is half of one
                first = end < 0
                if first:
                    at = start
                    continue
            while (newline := block.rfind(b"\n", 0, end)) >= 0:
                found += 1
                if found == count:
                    return start + newline + 1, count
                end = newline
            at = start
        return 0, 0 if first else found + 1

    def skip(self, data: bytes, count: int) -> int:
        at = 0
        for _ in range(count):
            at = data.index(b"\n", at) + 1
        return at

    def count(self, data: bytes) -> int:
        return data.count(b"\n")


class LocalFormat:
    """A record has its size on both sides."""

    def whole(self, data: bytes) -> int:
        return locallog.ends(data)[-1]

    def lines(self, data: bytes) -> Sequence[Line]:
        return [
            Line(
                _NUMBERS.get(entry.source, 1),
                _text(entry),
                jsonlog.stamp(entry.time),
                _NOTHING,
            )
            for entry in locallog.decode(data)[0]
        ]

    def plain(self, data: bytes, *, frames: bool) -> bytes:
        parts: list[bytes] = []
        for entry in locallog.decode(data)[0]:
            text = _text(entry)
            if frames:
                parts.append(_HEADER(_NUMBERS.get(entry.source, 1), len(text)))
            parts.append(text)
        return b"".join(parts)

    def start_of_last(self, fd: int, size: int, count: int) -> tuple[int, int]:
        at = size
        for found in range(count):
            if at <= 0:
                return 0, found
            (record,) = locallog.SIZE.unpack(os.pread(fd, locallog.SIZE.size, at - 4))
            start = at - record - 2 * locallog.SIZE.size
            if start < 0 or record > locallog.LONGEST:
                return at, found  # half a record, or no log of ours
            at = start
        return at, count

    def skip(self, data: bytes, count: int) -> int:
        return locallog.ends(data)[count]

    def count(self, data: bytes) -> int:
        return len(locallog.ends(data)) - 1


def _text(entry: locallog.Entry) -> bytes:
    """Return a record's line, with its newline unless the line goes on."""
    goes_on = entry.partial is not None and not entry.partial.last
    return entry.line if goes_on else entry.line + b"\n"


def joined(lines: Iterable[Line], *, frames: bool) -> bytes:
    """Return lines as a client gets them."""
    if not frames:
        return b"".join([line.text for line in lines])
    return b"".join(
        [part for line in lines for part in (_HEADER(line.stream, len(line.text)), line.text)]
    )
