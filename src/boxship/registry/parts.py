"""Bytes on their way to a client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from boxship.registry.storage.driver import Content


class Incomplete(ConnectionError):
    """What was being fetched does not come, or is not what it should be."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of something open, to be sent and then closed."""

    content: Content
    offset: int
    count: int

    @property
    def size(self) -> int:
        return self.count

    def cut(self, first: int, count: int) -> Part:
        """Return a part of this part."""
        return Part(self.content, self.offset + first, count)

    def close(self) -> None:
        """Let go of it; nobody wants it."""
        self.content.close()


@dataclass(frozen=True, slots=True)
class Flow:
    """Bytes that are still being fetched; there are `size` of them."""

    chunks: AsyncIterator[bytes]
    size: int


@dataclass(frozen=True, slots=True)
class Coming:
    """A blob of `size` bytes that is being fetched; `read` yields what lies between two offsets."""

    read: Callable[[int, int], AsyncIterator[bytes]]
    size: int

    def cut(self, first: int, count: int) -> Flow:
        """Return a part of it."""
        return Flow(self.read(first, first + count), count)

    def close(self) -> None:
        """Nobody here wants it; it is fetched all the same."""
