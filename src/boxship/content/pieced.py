"""The blobs that are kept in pieces: which they are, and what they are pieces of."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from boxship.content.assembly import SUFFIX, Pieces, content, read_pieces
from boxship.content.errors import NoSuchBlob, WrongContent
from boxship.spec.digest import Digest


class Pieced:
    """Those of one folder; safe to use from any thread."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._turn = threading.Lock()
        self._bases = dict(self._found())

    def _found(self) -> Iterator[tuple[Digest, Digest]]:
        """Yield what is in pieces, with its base; what is torn goes, as after a power cut."""
        for name in os.listdir(self._folder):
            if name.endswith(SUFFIX):
                digest = Digest("sha256:" + name.removesuffix(SUFFIX))
                try:
                    with self._opened(digest) as (_, pieces):
                        yield digest, Digest(pieces.base)
                except WrongContent:
                    os.unlink(os.path.join(self._folder, name))

    @contextmanager
    def _opened(self, digest: Digest) -> Iterator[tuple[int, Pieces]]:
        try:
            file = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchBlob(digest) from None
        try:
            yield file, read_pieces(file)
        finally:
            os.close(file)

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._bases

    def __iter__(self) -> Iterator[Digest]:
        with self._turn:
            return iter(list(self._bases))

    def path(self, digest: Digest) -> str:
        """Return where the pieces of `digest` are, or would be."""
        return os.path.join(self._folder, digest.hex) + SUFFIX

    def size(self, digest: Digest) -> int:
        """Return how many bytes it is when whole."""
        with self._opened(digest) as (_, pieces):
            return pieces.size

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        """Yield it as if it were whole."""
        with self._opened(digest) as (file, pieces):
            try:
                base = os.open(os.path.join(self._folder, Digest(pieces.base).hex), os.O_RDONLY)
            except FileNotFoundError:
                raise NoSuchBlob(Digest(pieces.base)) from None
            try:
                yield from content(file, base, pieces)
            finally:
                os.close(base)

    def bases(self, digests: Iterable[Digest]) -> set[Digest]:
        """Return what these are in pieces of."""
        asked = list(digests)
        with self._turn:
            return {self._bases[digest] for digest in asked if digest in self._bases}

    def add(self, digest: Digest, base: Digest) -> None:
        """Take note of one whose file has been put in place."""
        with self._turn:
            self._bases[digest] = base

    def drop(self, digest: Digest) -> None:
        """Remove one, if it is there; or its pieces, now that it is whole."""
        with self._turn:
            if self._bases.pop(digest, None) is not None:
                with suppress(FileNotFoundError):
                    os.unlink(self.path(digest))
