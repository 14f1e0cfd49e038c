"""Blobs: content by digest, and which repository has which.

Content is kept once. A repository has a blob by a link, and only who may read that repository can
reach it there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from boxship.lib.gate import Gate
from boxship.registry import layout
from boxship.registry.errors import BlobUnknown, DigestInvalid
from boxship.registry.names import Digest, Name
from boxship.registry.storage.driver import Content, NoSuchKey, Stat, Storage, walk

STALE: Final = 600.0  # seconds after which looking at a blob marks it as looked at again


class Blobs:
    """What repositories have of blobs. `gate` is closed while collection deletes."""

    def __init__(self, storage: Storage, gate: Gate) -> None:
        self._storage = storage
        self._gate = gate

    def stat(self, name: Name, digest: Digest) -> Stat:
        """Return a blob's size; BlobUnknown when the repository does not have it."""
        if self._storage.stat(layout.layer(name, digest)) is None:
            raise BlobUnknown(digest)
        if (found := self._storage.stat(layout.blob(digest))) is None:
            raise BlobUnknown(digest)
        return found

    def has(self, name: Name, digest: Digest) -> bool:
        try:
            self.stat(name, digest)
        except BlobUnknown:
            return False
        return True

    def promise(self, name: Name, digest: Digest, now: float) -> Stat:
        """Return a blob's size to somebody who may now push what refers to it.

        Collection sees that it was asked for and leaves it for a while.
        """
        found = self.stat(name, digest)
        if now - found.changed > STALE:
            self._storage.touch(layout.blob(digest))
        return found

    def open(self, name: Name, digest: Digest) -> Content:
        """Open a blob; the caller closes it."""
        self.stat(name, digest)
        try:
            return self._storage.open(layout.blob(digest))
        except NoSuchKey:
            raise BlobUnknown(digest) from None

    def location(self, name: Name, digest: Digest) -> str | None:
        """Return where a client can fetch a blob itself, if it can."""
        return self._storage.location(layout.blob(digest))

    def add(self, name: Name, digest: Digest, path: str, size: int) -> None:
        """Make a local file a blob of a repository; its digest has been checked."""
        with self._gate.together():
            there = self._storage.stat(layout.blob(digest))
            if there is None or there.size != size:
                self._storage.adopt(path, layout.blob(digest))
            else:
                self._storage.touch(layout.blob(digest))
            self._link(name, digest)

    def mount(self, name: Name, digest: Digest, source: Name) -> int:
        """Give a repository a blob of another one; return its size. BlobUnknown."""
        with self._gate.together():
            found = self.stat(source, digest)
            self._storage.touch(layout.blob(digest))
            self._link(name, digest)
        return found.size

    def remove(self, name: Name, digest: Digest) -> None:
        """Take a blob from a repository; its bytes stay until collection. BlobUnknown."""
        self.stat(name, digest)
        self._storage.delete(layout.above(layout.layer(name, digest)))

    def all_of(self, name: Name) -> Iterator[Digest]:
        """Yield the blobs of a repository."""
        return digests_below(self._storage, layout.layers(name))

    def _link(self, name: Name, digest: Digest) -> None:
        key = layout.layer(name, digest)
        if self._storage.stat(key) is None:
            self._storage.write(key, digest.encode())
        else:
            self._storage.touch(key)


def digests_below(storage: Storage, key: str) -> Iterator[Digest]:
    """Yield the digests that lie below a key as ALGORITHM/HEX; what is none is passed over."""
    for rest in walk(storage, key, 2):
        algorithm, _, digits = rest.partition("/")
        try:
            yield Digest.parse(f"{algorithm}:{digits}")
        except DigestInvalid:
            continue
