"""ADD of an archive: its files instead of itself, whatever it is packed with."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from boxship.build.files import place
from boxship.build.files.place import Given
from boxship.build.files.select import Match
from boxship.build.files.tree import Tree
from boxship.errors import InvalidRequest
from boxship.kernel import paths
from boxship.lib import compression
from boxship.snapshot.extract import Extraction, Whiteouts
from boxship.wire import tar

CHUNK = 1 << 18


def unpack(source: int | Tree, target: int, match: Match, where: str, given: Given) -> bool:
    """Unpack a match into the folder `where`; False if it is no archive."""
    with _content(source, match) as read:
        if read is None or not is_archive(read()):
            return False
        folder = place.make_folders(target, place.resolve(target, where), given)
        try:
            extraction = Extraction(folder, Whiteouts.LITERAL)
            try:
                extraction.extract(compression.decompress(read()))
            finally:
                extraction.close()
        finally:
            os.close(folder)
    return True


@contextmanager
def _content(source: int | Tree, match: Match) -> Iterator[Callable[[], Iterable[bytes]] | None]:
    """What reads a regular file from its beginning; None where it is something else."""
    if isinstance(source, Tree):
        found = source.find(match.real, follow=False)
        if found is None or not stat.S_ISREG(found[1].st_mode):
            yield None
        else:
            yield partial(source.spool.pieces, found[1])
        return
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        file = paths.openat2(source, match.real, flags, 0, paths.RESOLVE_BENEATH)
    except OSError:
        yield None
        return
    try:
        yield partial(pieces, file) if stat.S_ISREG(os.fstat(file).st_mode) else None
    finally:
        os.close(file)


def is_archive(pieces: Iterable[bytes]) -> bool:
    """Whether a file, decompressed, begins with a tar header."""
    first = b""
    try:
        for piece in compression.decompress(pieces):
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


def pieces(file: int) -> Iterator[bytes]:
    """Yield a file from its beginning."""
    os.lseek(file, 0, os.SEEK_SET)
    while piece := os.read(file, CHUNK):
        yield piece
