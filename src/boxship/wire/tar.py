"""tar: a streaming reader for archives from strangers.

An archive is a row of 512-byte headers, each followed by its entry's content padded to 512
bytes, and ends with two empty blocks. What does not fit a header precedes it:

    x, g     pax records `<length> <key>=<value>\\n`: long names, sizes, times, attributes
    L, K     GNU: the long name, the long link target
    S        GNU: a file with holes; its map goes on behind the header

Names stay bytes, as the kernel has them. What one entry may say about itself is bounded, so that
memory stays constant whatever the archive holds.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from boxship.errors import InvalidRequest

BLOCK: Final = 512
METADATA_LIMIT: Final = 1 << 20  # what may precede one entry
GLOBALS: Final = 64  # records that count for every entry that follows, and take time at each
CHUNK: Final = 1 << 20
HEADER: Final = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
BLANKS: Final = b"\0 "
ZEROS: Final = bytes(BLOCK)
NANOSECOND: Final = 1_000_000_000

FILE: Final = b"0"
HARD_LINK: Final = b"1"
SYMLINK: Final = b"2"
CHARACTER_DEVICE: Final = b"3"
BLOCK_DEVICE: Final = b"4"
FOLDER: Final = b"5"
FIFO: Final = b"6"
METADATA: Final = frozenset({b"x", b"g", b"L", b"K"})
BODILESS: Final = frozenset({HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, FOLDER, FIFO})
OLD_FILES: Final = frozenset({b"\0", b"7"})
DEVICES: Final = frozenset({CHARACTER_DEVICE, BLOCK_DEVICE})
XATTR: Final = b"SCHILY.xattr."


class InvalidArchive(InvalidRequest):
    """The bytes are not a tar archive, or end too early."""


class UnexpectedEnd(InvalidArchive):
    """The archive ends in the middle of an entry."""

    def __init__(self) -> None:
        super().__init__("unexpected EOF")


@dataclass(slots=True)
class Entry:
    """One member; `size` is what its content takes in the archive, `length` the file's own."""

    name: bytes
    type: bytes = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0  # nanoseconds since 1970
    link: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    holes: list[tuple[int, int]] | None = None  # (offset, size) of the parts that are not holes
    length: int = 0


class Stream:
    """Bytes that arrive in pieces, taken in the amounts a parser wants."""

    __slots__ = ("_at", "_piece", "_pieces", "position")

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._piece: bytes | memoryview = b""
        self._at = 0
        self.position = 0

    def take(self, size: int) -> bytes:
        """Return `size` bytes, or fewer at the end."""
        start, end = self._at, self._at + size
        piece = self._piece
        if end <= len(piece):
            self._at = end
            self.position += size
            return bytes(piece[start:end])
        parts = [bytes(piece[start:])]
        missing = size - len(parts[0])
        self._piece, self._at = b"", 0
        while missing:
            piece = next(self._pieces, b"") or self._next()
            if not piece:
                break
            part = bytes(piece[:missing])
            parts.append(part)
            missing -= len(part)
            self._piece, self._at = piece, len(part)
        self.position += size - missing
        return b"".join(parts)

    def _next(self) -> bytes:
        """The next piece that holds something; an empty one is the end."""
        for piece in self._pieces:
            if piece:
                return piece
        return b""

    def chunks(self, size: int) -> Iterator[memoryview]:
        """Yield the next `size` bytes as they come; raise where they end before."""
        while size:
            if self._at >= len(self._piece):
                self._piece, self._at = self._next(), 0
                if not self._piece:
                    raise UnexpectedEnd
            end = min(self._at + min(size, CHUNK), len(self._piece))
            part = memoryview(self._piece)[self._at : end]
            self._at = end
            self.position += len(part)
            size -= len(part)
            yield part

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        if self._at + size <= len(self._piece):
            self._at += size
            self.position += size
            return
        for _ in self.chunks(size):
            pass

    def drain(self) -> None:
        """Take all that is left."""
        self.position += len(self._piece) - self._at
        self._piece, self._at = b"", 0
        for piece in self._pieces:
            self.position += len(piece)


class Reader:
    """The entries of an archive, in order.

    The content of an entry is read before the next entry is asked for; what was not read is
    passed over.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.stream = Stream(pieces)
        self._left = 0  # of this entry's content
        self._padding = 0
        self._global: dict[bytes, bytes] = {}

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self.next()) is not None:
            yield entry

    def content(self) -> Iterator[memoryview]:
        """Yield what is left of this entry's content."""
        for part in self.stream.chunks(self._left):
            self._left -= len(part)
            yield part

    def read(self, limit: int) -> bytes:
        """Return this entry's whole content, or refuse one larger than `limit`."""
        if self._left > limit:
            raise InvalidArchive(f"an entry of the archive is larger than {limit} bytes")
        size, self._left = self._left, 0
        data = self.stream.take(size)
        if len(data) < size:
            raise UnexpectedEnd
        return data

    def next(self) -> Entry | None:
        """Return the next entry, or None at the end of the archive."""
        pax: dict[bytes, bytes] | None = None
        long_name = long_link = b""
        metadata = 0
        stream = self.stream
        while True:
            if left := self._left + self._padding:
                stream.skip(left)
                self._left = self._padding = 0
            block = stream.take(BLOCK)
            if block == ZEROS or not block:
                if pax is not None or long_name or long_link:
                    raise UnexpectedEnd
                return None
            if len(block) < BLOCK:
                raise UnexpectedEnd
            fields = HEADER.unpack(block)
            if zlib.adler32(block) & 0xFFFF != _sum(fields[6]) and not _signed(block, fields[6]):
                raise InvalidArchive("invalid tar header")
            size, kind = number(fields[4]), fields[7]
            if size < 0:
                raise InvalidArchive("invalid tar header: negative size")
            if kind in METADATA:
                metadata += size
                if metadata > METADATA_LIMIT:
                    raise InvalidArchive("an entry's metadata is larger than 1 MiB")
                self._left, self._padding = size, -size % BLOCK
                data = self.read(METADATA_LIMIT)
                if kind == b"x":
                    pax = {} if pax is None else pax
                    take_records(data, pax)
                elif kind == b"g":
                    take_records(data, self._global)
                    if len(self._global) > GLOBALS:
                        raise InvalidArchive("the archive has more than 64 global records")
                elif kind == b"L":
                    long_name = data.split(b"\0", 1)[0]
                else:
                    long_link = data.split(b"\0", 1)[0]
                continue
            if self._global:
                pax = {**self._global, **(pax or {})}
            return self._entry(block, fields, size, pax, long_name, long_link)

    def _entry(
        self,
        block: bytes,
        fields: tuple[bytes, ...],
        size: int,
        pax: dict[bytes, bytes] | None,
        long_name: bytes,
        long_link: bytes,
    ) -> Entry:
        """Put together what header and records say."""
        raw, mode, uid, gid, _, mtime, _, kind, target, magic, _, _, major, minor, prefix = fields
        name = long_name or raw.split(b"\0", 1)[0]
        if not long_name and prefix[0] and magic[:6] == b"ustar\0":
            name = prefix.split(b"\0", 1)[0] + b"/" + name
        entry = Entry(
            name,
            kind,
            _common(mode) & 0o7777,
            _common(uid),
            _common(gid),
            size,
            number(mtime) * NANOSECOND,
            long_link or target.split(b"\0", 1)[0],
        )
        if kind in DEVICES:
            entry.major, entry.minor = number(major), number(minor)
        if pax:
            _apply(pax, entry)
        if kind in OLD_FILES:  # before ustar; contiguous
            entry.type = FOLDER if entry.name.endswith(b"/") and kind == b"\0" else FILE
        if entry.type in BODILESS:
            entry.size = 0
        entry.length = entry.size
        if entry.size < 0 or entry.uid < 0 or entry.gid < 0:
            raise InvalidArchive("invalid tar header: negative number")
        self._left, self._padding = entry.size, -entry.size % BLOCK
        if kind == b"S":
            entry.type = FILE
            self._gnu_map(entry, block)
        elif pax and (b"GNU.sparse.major" in pax or b"GNU.sparse.map" in pax):
            self._pax_map(entry, pax)
        elif pax and b"GNU.sparse.size" in pax:
            raise InvalidArchive("sparse format 0.0 is not supported")
        return entry

    def _gnu_map(self, entry: Entry, block: bytes) -> None:
        """Read the old GNU map: four parts in the header, 21 in each block that follows."""
        parts: list[tuple[int, int]] = []
        _gnu_parts(block[386:482], parts)
        more, taken, entry.length = block[482], 0, number(block[483:495])
        while more:
            taken += BLOCK
            block = self.stream.take(BLOCK)
            if len(block) < BLOCK:
                raise UnexpectedEnd
            if taken > METADATA_LIMIT:
                raise InvalidArchive("an entry's metadata is larger than 1 MiB")
            _gnu_parts(block[:504], parts)
            more = block[504]
        self._set_map(entry, parts)

    def _pax_map(self, entry: Entry, pax: dict[bytes, bytes]) -> None:
        """Read a map of format 0.1, in the records, or 1.0, before the content."""
        if b"GNU.sparse.name" in pax:
            entry.name = _text(pax[b"GNU.sparse.name"])
        length = pax.get(b"GNU.sparse.realsize", pax.get(b"GNU.sparse.size", b""))
        entry.length = decimal(length)
        if b"GNU.sparse.map" in pax:
            numbers = [decimal(part) for part in pax[b"GNU.sparse.map"].split(b",") if part]
        else:
            numbers = self._leading_numbers()
        if len(numbers) % 2:
            raise InvalidArchive("invalid sparse map")
        self._set_map(entry, list(zip(numbers[::2], numbers[1::2], strict=True)))

    def _leading_numbers(self) -> list[int]:
        """Read `count` and that many pairs, one number a line, in whole blocks."""
        lines: list[bytes] = []
        rest, wanted, taken = b"", 1, 0
        while len(lines) < wanted:
            if self._left < BLOCK or (taken := taken + BLOCK) > METADATA_LIMIT:
                raise InvalidArchive("invalid sparse map")
            self._left -= BLOCK
            *whole, rest = (rest + self.stream.take(BLOCK)).split(b"\n")
            lines += whole
            if lines and wanted == 1:
                wanted = 1 + 2 * decimal(lines[0])
        return [decimal(line) for line in lines[1:wanted]]

    def _set_map(self, entry: Entry, parts: list[tuple[int, int]]) -> None:
        """Take a map whose parts are in order, inside the file, and as long as the content."""
        end = 0
        for offset, size in parts:
            if offset < end or size < 0:
                raise InvalidArchive("invalid sparse map")
            end = offset + size
        entry.size = self._left
        if end > entry.length or sum(size for _, size in parts) != entry.size:
            raise InvalidArchive("invalid sparse map")
        entry.holes = parts


def number(raw: bytes) -> int:
    """Read a number field: octal digits, or GNU's base 256 with the first bit set."""
    if (digits := raw[:-1]).isdigit() and raw[-1] in BLANKS:  # as nearly all writers have it
        try:
            return int(digits, 8)
        except ValueError:
            raise InvalidArchive("invalid tar header: bad number") from None
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big") & ~(0x80 << (len(raw) * 8 - 8))
        return value - (1 << (len(raw) * 8 - 1)) if raw[0] & 0x40 else value
    digits = raw.split(b"\0", 1)[0].strip(b" ")
    if not digits:
        return 0
    if not digits.isdigit():  # int() would take signs and underscores as well
        raise InvalidArchive("invalid tar header: bad number")
    try:
        return int(digits, 8)
    except ValueError:
        raise InvalidArchive("invalid tar header: bad number") from None


_common = lru_cache(1024)(number)  # modes and owners are the same in most entries


def decimal(raw: bytes) -> int:
    """Read decimal digits, at most as many as 64 bits need."""
    if not raw.isdigit() or len(raw) > 20:
        raise InvalidArchive("invalid number in an extended header")
    return int(raw)


def take_records(data: bytes, known: dict[bytes, bytes]) -> None:
    """Add pax records to those known; one without a value takes a known one away."""
    at, end = 0, len(data)
    while at < end:
        if data[at] == 0:  # some writers pad with zeros
            break
        space = data.find(b" ", at, at + 10)
        length = decimal(data[at:space]) if space > 0 else 0
        stop = at + length
        if length < 5 or stop > end or data[stop - 1] != 0x0A:
            raise InvalidArchive("invalid extended header")
        key, equals, value = data[space + 1 : stop - 1].partition(b"=")
        if not equals or not key:
            raise InvalidArchive("invalid extended header")
        if value:
            known[key] = value
        else:
            known.pop(key, None)
        at = stop


def seconds(raw: bytes) -> int:
    """Read a pax time, `[-]digits[.digits]`, as nanoseconds."""
    whole, _, fraction = raw.partition(b".")
    if whole.isdigit() and len(whole) < 15 and len(fraction) <= 9 and fraction.isdigit():
        return int(whole + fraction.ljust(9, b"0"))
    sign = -1 if whole.startswith(b"-") else 1
    value = decimal(whole.removeprefix(b"-") or b"0") * NANOSECOND
    if fraction:
        value += decimal(fraction[:9].ljust(9, b"0"))
    return sign * value


def _apply(pax: dict[bytes, bytes], entry: Entry) -> None:
    """Let the records speak where the header could not."""
    for key, value in pax.items():
        if key == b"mtime":
            entry.mtime = seconds(value)
        elif key.startswith(XATTR):
            entry.xattrs[key[len(XATTR) :]] = value
        elif key == b"path":
            entry.name = _text(value)
        elif key == b"linkpath":
            entry.link = _text(value)
        elif key == b"size":
            entry.size = decimal(value)
        elif key == b"uid":
            entry.uid = decimal(value)
        elif key == b"gid":
            entry.gid = decimal(value)


def _text(value: bytes) -> bytes:
    if b"\0" in value:
        raise InvalidArchive("a name in the archive holds a NUL byte")
    return value


def _gnu_parts(raw: bytes, parts: list[tuple[int, int]]) -> None:
    for at in range(0, len(raw), 24):
        if raw[at : at + 24].strip(b"\0 "):
            parts.append((number(raw[at : at + 12]), number(raw[at + 12 : at + 24])))


@lru_cache(4096)
def _sum(stored: bytes) -> int:
    """Return what Adler-32's lower half is, with C's speed, of a header that is right.

    That is the sum of its bytes and one, modulo 65,521; the field itself counts as blanks.
    """
    try:
        return (number(stored) + 1 - 256 + sum(stored)) % 65521
    except InvalidArchive:
        return -1


def _signed(block: bytes, stored: bytes) -> bool:
    """Whether the header's sum is one of signed bytes, as some old writers had it."""
    try:
        said = number(stored)
    except InvalidArchive:
        return False
    signed = sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:])
    return said == signed + 256
