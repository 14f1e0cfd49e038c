"""What the registry asks of whatever keeps its bytes.

A key is text with slashes; what lies below a key is its tree. What a call has written is durable
when the call returns, and a reader sees all of it or nothing. The calls block; those of a storage
that is `local` and only read take so little that they need no thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from boxship.errors import NotFound


class NoSuchKey(NotFound):
    """Nothing is kept under this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no such key: {key}")


@dataclass(frozen=True, slots=True)
class Stat:
    """How large something is, and when it was written or touched, in seconds since 1970."""

    size: int
    changed: float


class Content(Protocol):
    """Something that is open for reading."""

    size: int
    file: BinaryIO | None  # where there is one: parts of it can be sent by the kernel

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes, b"" at the end."""

    def close(self) -> None: ...


class Storage(Protocol):
    """A place that keeps bytes."""

    local: bool

    def read(self, key: str) -> bytes:
        """Return all of something small; NoSuchKey."""

    def stat(self, key: str) -> Stat | None: ...

    def open(self, key: str) -> Content:
        """Open something of any size; NoSuchKey."""

    def write(self, key: str, data: bytes) -> None:
        """Keep something small, in place of what was there."""

    def adopt(self, path: str, key: str) -> None:
        """Keep a local file's content, and take the file away."""

    def names(self, key: str) -> list[str]:
        """Return the sorted names one step below a key; none where there is nothing."""

    def delete(self, key: str) -> None:
        """Forget a key and its tree, whether they are there or not."""

    def touch(self, key: str) -> None:
        """Make something look freshly written to collection, if it is there."""

    def location(self, key: str) -> str | None:
        """Return where a client can fetch something itself, if it can."""

    def leftovers(self, age: float) -> Iterator[tuple[str, int]]:
        """Yield the keys and sizes of what writes that were cut short have left.

        Where it cannot be told from what is being written, only what is at least so old.
        """

    def spool(self) -> str:
        """Return the local folder below which unfinished blobs lie."""

    def free(self) -> int | None:
        """Return how many bytes there is still room for, where that is known."""


def walk(storage: Storage, key: str, depth: int) -> Iterator[str]:
    """Yield what lies exactly `depth` steps below a key, as the rest of its key."""
    for name in storage.names(key):
        if depth == 1:
            yield name
        else:
            for rest in walk(storage, f"{key}/{name}", depth - 1):
                yield f"{name}/{rest}"
