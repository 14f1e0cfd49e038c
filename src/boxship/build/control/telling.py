"""A build's progress as it is kept: messages one after the other, each behind its length."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final

from boxship.build.control import status
from boxship.build.progress import Told

LENGTH: Final = Struct("<I")
TOGETHER: Final = 500  # words in a message
LARGEST: Final = 16 << 20
READ: Final = 256 << 10


def written(told: Sequence[Told]) -> bytes:
    """Return progress as bytes."""
    parts: list[bytes] = []
    for at in range(0, len(told), TOGETHER):
        message = status.response(told[at : at + TOGETHER]).SerializeToString()
        parts += LENGTH.pack(len(message)), message
    return b"".join(parts)


def messages(file: int) -> Iterator[bytes]:
    """Yield the messages of an open file; what is cut off at the end is left out."""
    pending = b""
    while data := os.read(file, READ):
        pending += data
        while len(pending) >= LENGTH.size:
            (size,) = LENGTH.unpack_from(pending)
            if size > LARGEST:
                return
            end = LENGTH.size + size
            if len(pending) < end:
                break
            yield pending[LENGTH.size : end]
            pending = pending[end:]
