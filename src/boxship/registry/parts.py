"""Bytes on their way to a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from boxship.registry.storage.driver import Content


@dataclass(frozen=True, slots=True)
class Part:
    """A part of something open, to be sent and then closed."""

    content: Content
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Flow:
    """Bytes that are still being fetched; there are `length` of them."""

    chunks: AsyncIterator[bytes]
    length: int
