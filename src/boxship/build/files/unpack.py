"""ADD of an archive: its files instead of itself, whatever it is packed with."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from boxship.build.files import place
from boxship.build.files.place import Given
from boxship.build.files.select import Match
from boxship.errors import InvalidRequest
from boxship.kernel import paths
from boxship.lib import compression
from boxship.snapshot.extract import Extraction, Whiteouts
from boxship.wire import tar

CHUNK = 1 << 18


def unpack(source: int, target: int, match: Match, where: str, given: Given) -> bool:
    """Unpack a match into the folder `where`; False if it is no archive."""
    try:
        file = paths.openat2(
            source,
            match.real,
            os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY,
            0,
            paths.RESOLVE_BENEATH,
        )
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode) or not is_archive(file):
            return False
        os.lseek(file, 0, os.SEEK_SET)
        folder = place.make_folders(target, place.resolve(target, where), given)
        try:
            extraction = Extraction(folder, Whiteouts.LITERAL)
            try:
                extraction.extract(compression.decompress(_pieces(file)))
            finally:
                extraction.close()
        finally:
            os.close(folder)
    finally:
        os.close(file)
    return True


def is_archive(file: int) -> bool:
    """Whether a file, decompressed, begins with a tar header."""
    first = b""
    try:
        for piece in compression.decompress(_pieces(file)):
            first += piece
            if len(first) >= tar.BLOCK:
                return _checksum_holds(first[: tar.BLOCK])
    except InvalidRequest:
        return False  # it only looks as if it were packed
    return False


def _checksum_holds(block: bytes) -> bool:
    said = block[148:156].strip(b" \0")
    try:
        expected = int(said, 8)
    except ValueError:
        return False
    counted = block[:148] + b" " * 8 + block[156:]
    return sum(counted) == expected


def _pieces(file: int) -> Iterator[bytes]:
    while piece := os.read(file, CHUNK):
        yield piece
