"""The `json-file` log: each line that a program wrote is one JSON object on a line of its own.

    {"log":"text\\n","stream":"stdout","attrs":{"tag":"a"},"time":"2006-01-02T15:04:05.000000000Z"}

A line longer than LONGEST is several objects, and only the last one's `log` ends with a newline;
so does a program's last line when the program did not end it. Times have nine digits always, so
that they compare as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import gmtime, strftime
from typing import Final, TypeVar, cast

import msgspec

LONGEST: Final = 16 << 10  # bytes of a line in one object
TIME_SIZE: Final = len("2006-01-02T15:04:05.000000000Z")

_PLAIN: Final = bytes(c for c in range(0x20, 0x7F) if c not in b'"\\') + b"\n"
_SHORT: Final = {0x08: b"\\b", 0x09: b"\\t", 0x0C: b"\\f", 0x0D: b"\\r", 0x22: b'\\"'}


class Text(msgspec.Struct, frozen=True, gc=False):
    """Of one object of the file, what the program wrote."""

    log: str = ""
    stream: str = ""


class Stamped(Text, frozen=True, gc=False):
    """The same, and when."""

    time: str = ""


class Record(Stamped, frozen=True, gc=False):
    """One object of the file."""

    attrs: Mapping[str, str] = {}


_Kind = TypeVar("_Kind", bound=Text)
_DECODERS: Final = {kind: msgspec.json.Decoder(kind) for kind in (Text, Stamped, Record)}


def stamp(nanoseconds: int) -> str:
    """Write a moment since the epoch as the log does."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds)) + f".{rest:09d}Z"


def comparable(time: str) -> str:
    """Return a UTC time with any number of digits as one with nine."""
    if len(time) == TIME_SIZE or not time.endswith("Z"):
        return time
    whole, _, digits = time[:-1].partition(".")
    return f"{whole}.{digits[:9]:<09}Z"


class Encoder:
    """Writes what came from one stream of one container."""

    def __init__(self, stream: str, attrs: Mapping[str, str] | None = None) -> None:
        tail = f'","stream":{msgspec.json.encode(stream).decode()}'
        if attrs:
            tail += f',"attrs":{msgspec.json.encode(dict(attrs)).decode()}'
        self._tail = f'{tail},"time":"'.encode()

    def lines(self, text: bytes, time: str) -> bytes:
        """Encode whole lines, each at most LONGEST long; `text` ends with a newline."""
        end = self._tail + time.encode() + b'"}\n'
        between = b"\\n" + end + b'{"log":"'
        return b'{"log":"' + _escaped(text[:-1]).replace(b"\n", between) + b"\\n" + end

    def piece(self, text: bytes, time: str) -> bytes:
        """Encode a part of a line that goes on in another object, or that nobody ended."""
        return b'{"log":"' + _escaped(text) + self._tail + time.encode() + b'"}\n'


def _escaped(text: bytes) -> bytes:
    """Return `text` as the inside of a JSON string, except that its newlines stay.

    The usual text needs one look; each kind of byte that must be escaped costs one more pass.
    """
    special = text.translate(None, _PLAIN)
    if not special:
        return text
    found = set(special)
    if max(found) >= 0x80:
        text = _valid(text)
    if 0x5C in found:
        text = text.replace(b"\\", b"\\\\")
    for code in found:
        if code < 0x80 and code != 0x5C:
            text = text.replace(bytes((code,)), _SHORT.get(code) or b"\\u%04x" % code)
    return text


def _valid(text: bytes) -> bytes:
    """Return `text` with what is no UTF-8 replaced, as JSON demands."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="replace").encode()
    return text


def decode(lines: bytes, kind: type[_Kind]) -> Sequence[_Kind]:
    """Read whole lines; one that is no such object, as a crash may leave it, is left out."""
    decoder = cast(msgspec.json.Decoder[_Kind], _DECODERS[kind])
    try:
        return decoder.decode_lines(lines)
    except msgspec.DecodeError:
        return [record for line in lines.split(b"\n") for record in _decode_one(decoder, line)]


def _decode_one(decoder: msgspec.json.Decoder[_Kind], line: bytes) -> Sequence[_Kind]:
    try:
        return (decoder.decode(line),) if line.strip(b"\0 \t\r") else ()
    except msgspec.DecodeError:
        return ()
