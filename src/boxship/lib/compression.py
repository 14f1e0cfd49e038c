"""Compressed streams: known by their first bytes, unpacked in bounded memory.

Whatever a stream claims about itself, one step of unpacking yields at most a megabyte, and no
more memory is taken for its dictionary than is allowed here.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import chain
from typing import IO, Any, Final, cast

from boxship.errors import InvalidRequest
from boxship.lib.zstdframes import Frames

CHUNK: Final = 1 << 20
WINDOW: Final = 32 << 20  # zstd's, up to level 20
XZ_MEMORY: Final = 72 << 20  # xz -9
PACKED_AT_ONCE: Final = 1 << 18
LONGEST_MAGIC: Final = 6
BOMB_RATIO: Final = 200  # how much more than went in may come out,
BOMB_SIZE: Final = 4 << 30  # once this much has


class InvalidCompression(InvalidRequest):
    """The stream is damaged, ends too early, or wants more memory than it may have."""


class Compression(StrEnum):
    """How a stream is packed."""

    NONE = "uncompressed"
    GZIP = "gzip"
    ZSTD = "zstd"
    XZ = "xz"
    BZIP2 = "bzip2"


MAGIC: Final = (
    (b"\x1f\x8b\x08", Compression.GZIP),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
    (b"\xfd7zXZ\x00", Compression.XZ),
    (b"BZh", Compression.BZIP2),
)


def detect(start: bytes) -> Compression:
    """Return how a stream that begins with `start` is packed."""
    if start[:4] in {bytes((byte,)) + b"\x2a\x4d\x18" for byte in range(0x50, 0x60)}:
        return Compression.ZSTD  # a skippable frame comes first
    return next((kind for magic, kind in MAGIC if start.startswith(magic)), Compression.NONE)


def unpacked(pieces: Iterable[bytes]) -> tuple[Compression, Iterator[bytes]]:
    """Return how a stream is packed, and the stream unpacked; a bomb is stopped."""
    taken = [0]
    source = _counted(pieces, taken)
    start = b""
    while len(start) < LONGEST_MAGIC and (piece := next(source, b"")):
        start += piece
    kind = detect(start)
    whole = chain((start,), source) if start else source
    if kind is Compression.NONE:
        return kind, whole
    return kind, _guarded(UNPACK[kind](whole), taken)


def _counted(pieces: Iterable[bytes], taken: list[int]) -> Iterator[bytes]:
    for piece in pieces:
        taken[0] += len(piece)
        yield piece


def _guarded(pieces: Iterable[bytes], taken: list[int]) -> Iterator[bytes]:
    """Stop what grows out of all proportion."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > BOMB_SIZE and size > BOMB_RATIO * taken[0]:
            raise InvalidCompression(f"the stream unpacks to more than {BOMB_RATIO} times its size")
        yield piece


def decompress(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a stream unpacked, however it was packed."""
    return unpacked(pieces)[1]


def gzip(pieces: Iterable[bytes], level: int = 1) -> Iterator[bytes]:
    """Yield a stream packed by isal: fast, and the same bytes however the stream is cut."""
    from isal import isal_zlib

    packer = isal_zlib.compressobj(level, wbits=31)
    for piece in even(pieces, PACKED_AT_ONCE):
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def even(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the same stream in pieces of one size; what isal makes depends on the cuts."""
    held: list[bytes] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length < size:
            continue
        whole = held[0] if len(held) == 1 else b"".join(held)
        end = length - length % size
        for at in range(0, end, size):
            yield whole[at : at + size]
        held, length = [whole[end:]], length - end
    if length:
        yield b"".join(held)


def _members(pieces: Iterable[bytes], begin: Callable[[], Any], name: str) -> Iterator[bytes]:
    """Unpack members one after another; only zeros may follow the last."""
    member, started, failures = begin(), False, _failures()
    for piece in pieces:
        data = piece
        while data or (started and not member.eof and _holds_back(member)):
            if member.eof:
                if not data.strip(b"\0"):
                    data = b""
                    continue
                member, started = begin(), False
            started = True
            try:
                part = member.decompress(data, CHUNK)
            except failures as error:
                raise InvalidCompression(f"{name}: {error}") from error
            data = member.unused_data if member.eof else _pending(member)
            if part:
                yield part
    if started and not member.eof:
        raise InvalidCompression(f"{name}: unexpected EOF")


def _failures() -> tuple[type[Exception], ...]:
    import zlib

    from isal import isal_zlib

    damaged = cast(type[Exception], isal_zlib.error)
    return (ValueError, EOFError, OSError, lzma.LZMAError, zlib.error, damaged)


def _holds_back(member: Any) -> bool:
    """Whether there is more to come out before more goes in."""
    return not getattr(member, "needs_input", True)


def _pending(member: Any) -> bytes:
    tail: bytes = getattr(member, "unconsumed_tail", b"")
    return tail


def _gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    from isal import isal_zlib

    return _members(pieces, lambda: isal_zlib.decompressobj(wbits=31), "gzip")


def _unxz(pieces: Iterable[bytes]) -> Iterator[bytes]:
    return _members(pieces, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY), "xz")


def _bunzip2(pieces: Iterable[bytes]) -> Iterator[bytes]:
    return _members(pieces, bz2.BZ2Decompressor, "bzip2")


def _unzstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    import zstandard

    frames = Frames()
    source = cast(IO[bytes], _Readable(pieces, frames))
    opened = zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(
        source, read_across_frames=True
    )
    try:
        while part := opened.read(CHUNK):
            yield part
    except zstandard.ZstdError as error:
        raise InvalidCompression(f"zstd: {error}") from error
    if not frames.whole:
        raise InvalidCompression("zstd: unexpected EOF")


class _Readable:
    """Pieces as the file object that zstandard wants."""

    def __init__(self, pieces: Iterable[bytes], frames: Frames) -> None:
        self._pieces = iter(pieces)
        self._frames = frames
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        while not self._rest:
            if (piece := next(self._pieces, None)) is None:
                return b""
            self._rest = bytes(piece)
            self._frames.feed(self._rest)
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


UNPACK: Final[dict[Compression, Callable[[Iterable[bytes]], Iterator[bytes]]]] = {
    Compression.GZIP: _gunzip,
    Compression.ZSTD: _unzstd,
    Compression.XZ: _unxz,
    Compression.BZIP2: _bunzip2,
}
