"""tar: writing archives, the same bytes for the same entries.

Everything that fits goes into a ustar header; a pax record precedes it for what does not: long
or foreign names, large numbers, times finer than a second, extended attributes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from boxship.wire.tar import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    FILE,
    FOLDER,
    NANOSECOND,
    XATTR,
    Entry,
)

END: Final = bytes(2 * BLOCK)
HEADER: Final = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
SMALL: Final = 0o7777777  # what eight bytes hold in octal, with the NUL
LARGE: Final = 0o77777777777  # what twelve hold


def header(entry: Entry) -> bytes:
    """Return all that comes before an entry's content of `entry.size` bytes."""
    name, link = entry.name, entry.link
    pax: dict[bytes, bytes] = {}
    if len(name) > 100 or not name.isascii():
        pax[b"path"], name = name, _ascii(name)[:100]
    if len(link) > 100 or not link.isascii():
        pax[b"linkpath"], link = link, _ascii(link)[:100]
    mtime, fraction = divmod(entry.mtime, NANOSECOND)
    if fraction or not 0 <= mtime <= LARGE:
        pax[b"mtime"] = _time(entry.mtime)
    for key, owner in ((b"uid", entry.uid), (b"gid", entry.gid)):
        if owner > SMALL:
            pax[key] = b"%d" % owner
    if entry.size > LARGE:
        pax[b"size"] = b"%d" % entry.size
    for key, value in entry.xattrs.items():
        pax[XATTR + key] = value
    main = _block(
        name,
        entry.type,
        entry.mode,
        entry.uid if entry.uid <= SMALL else 0,
        entry.gid if entry.gid <= SMALL else 0,
        entry.size if entry.size <= LARGE else 0,
        min(max(mtime, 0), LARGE),
        link,
        (entry.major, entry.minor) if entry.type in (CHARACTER_DEVICE, BLOCK_DEVICE) else (0, 0),
    )
    if not pax:
        return main
    body = b"".join(_record(key, pax[key]) for key in sorted(pax))
    about = b"PaxHeaders.0/" + _ascii(entry.name.rstrip(b"/").rpartition(b"/")[2])[:80]
    before = _block(about, b"x", 0o644, 0, 0, len(body), 0, b"", (0, 0))
    return before + body + padding(len(body)) + main


def padding(size: int) -> bytes:
    """Return what fills the last block behind `size` bytes of content."""
    return bytes(-size % BLOCK)


def file(name: str, content: bytes, *, mode: int = 0o644, mtime: int = 0) -> bytes:
    """Return a whole small file as it stands in an archive."""
    entry = Entry(name.encode(), FILE, mode, size=len(content), mtime=mtime)
    return header(entry) + content + padding(len(content))


def folder(name: str, *, mode: int = 0o755, mtime: int = 0) -> bytes:
    """Return a folder's entry."""
    return header(Entry(name.rstrip("/").encode() + b"/", FOLDER, mode, mtime=mtime))


def body(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield content of exactly `size` bytes and its padding, whatever `pieces` turn out to be.

    A file that shrinks while it is read is filled up with zeros, one that grows is cut: the
    header has been sent already.
    """
    left = size
    for piece in pieces:
        if len(piece) >= left:
            yield piece[:left]
            left = 0
            break
        left -= len(piece)
        yield piece
    while left:
        part = min(left, 1 << 20)
        yield bytes(part)
        left -= part
    if size % BLOCK:
        yield padding(size)


def _block(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    link: bytes,
    device: tuple[int, int],
) -> bytes:
    fields = (
        name,
        b"%07o\0" % mode,
        b"%07o\0" % uid,
        b"%07o\0" % gid,
        b"%011o\0" % size,
        b"%011o\0" % mtime,
        b" " * 8,
        kind,
        link,
        b"ustar\0",
        b"00",
        b"",
        b"",
        b"%07o\0" % device[0],
        b"%07o\0" % device[1],
        b"",
    )
    block = HEADER.pack(*fields)
    # Adler-32's lower half is the sum of the bytes and one, which here cannot reach its modulus
    return block[:148] + b"%06o\0 " % ((zlib.adler32(block) & 0xFFFF) - 1) + block[156:]


def _record(key: bytes, value: bytes) -> bytes:
    """A record begins with its own length, which counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _time(mtime: int) -> bytes:
    sign = b"-" if mtime < 0 else b""
    whole, fraction = divmod(abs(mtime), NANOSECOND)
    return sign + b"%d" % whole + (b".%09d" % fraction).rstrip(b"0") * bool(fraction)


def _ascii(name: bytes) -> bytes:
    return bytes(byte if byte < 0x80 else 0x5F for byte in name)
