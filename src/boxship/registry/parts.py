"""Bytes on their way to a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
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


@dataclass(frozen=True, slots=True)
class Flow:
    """Bytes that are still being fetched; there are `size` of them."""

    chunks: AsyncIterator[bytes]
    size: int
