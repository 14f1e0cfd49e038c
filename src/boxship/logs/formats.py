"""The formats of log files that can be read back, behind one Protocol."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeVar

from boxship.wire import jsonlog, locallog, multiplex

BLOCK: Final = 64 << 10
MOST_SIZES: Final = 4096
_NUMBERS: Final = {"stdout": 1, "stderr": 2}
_HEADER: Final = multiplex.HEADER.pack
_NOTHING: Final[Mapping[str, str]] = {}
_Text = TypeVar("_Text", bound=jsonlog.Text)


class Line(NamedTuple):
    """One record. `time` has nine digits, so that it compares; `text` has its newline."""

    stream: int
    text: bytes
    time: str
    attrs: Mapping[str, str]


class Shape(NamedTuple):
    """What a client gets who chooses no line by more than its stream."""

    stdout: bool
    stderr: bool
    stamped: bool  # the time is before each line
    frames: bool

    def wants(self, stream: int) -> bool:
        return self.stderr if stream == 2 else self.stdout


class Format(Protocol):
    def whole(self, data: bytes) -> int:
        """Return how many bytes from the start of `data` are whole records."""

    def lines(self, data: bytes) -> Sequence[Line]:
        """Decode whole records."""

    def plain(self, data: bytes, shape: Shape) -> bytes:
        """Decode whole records to what a client gets."""

    def start_of_last(self, fd: int, size: int, count: int) -> tuple[int, int]:
        """Return where the last `count` records of a file begin, and how many they are."""

    def skip(self, data: bytes, count: int) -> int:
        """Return where the record after the first `count` begins in whole records."""

    def count(self, data: bytes) -> int:
        """Return how many records there are in whole records."""


class Headers(dict[int, bytes]):
    """The frames' headers of one stream by size; most lines have a size that others have."""

    def __init__(self, stream: int) -> None:
        self._stream = stream

    def __missing__(self, size: int) -> bytes:
        if len(self) >= MOST_SIZES:
            self.clear()
        made = self[size] = _HEADER(self._stream, size)
        return made


class JsonFormat:
    """A line is an object."""

    def __init__(self) -> None:
        self._headers = {"stdout": Headers(1), "stderr": Headers(2)}

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
            for record in jsonlog.decode(data, jsonlog.Record)
        ]

    def plain(self, data: bytes, shape: Shape) -> bytes:
        if shape.stamped:
            stamped = self._wanted(jsonlog.decode(data, jsonlog.Stamped), shape)
            texts = [f"{jsonlog.comparable(record.time)} {record.log}" for record in stamped]
            return self._shaped(stamped, texts, shape)
        records = self._wanted(jsonlog.decode(data, jsonlog.Text), shape)
        return self._shaped(records, [record.log for record in records], shape)

    def _wanted(self, records: Sequence[_Text], shape: Shape) -> Sequence[_Text]:
        if shape.stdout and shape.stderr:
            return records
        return [record for record in records if shape.wants(_NUMBERS.get(record.stream, 1))]

    def _shaped(self, records: Sequence[jsonlog.Text], texts: Sequence[str], shape: Shape) -> bytes:
        if not shape.frames:
            return "".join(texts).encode(errors="replace")
        headers, stdout = self._headers, self._headers["stdout"]
        parts: list[bytes] = []
        for record, said in zip(records, texts, strict=True):
            text = said.encode(errors="replace")
            parts += (headers.get(record.stream, stdout)[len(text)], text)
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

    def plain(self, data: bytes, shape: Shape) -> bytes:
        parts: list[bytes] = []
        for entry in locallog.decode(data)[0]:
            stream = _NUMBERS.get(entry.source, 1)
            if not shape.wants(stream):
                continue
            text = _text(entry)
            if shape.stamped:
                text = jsonlog.stamp(entry.time).encode() + b" " + text
            if shape.frames:
                parts.append(_HEADER(stream, len(text)))
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
