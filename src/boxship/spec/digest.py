"""Content digests: `sha256:` and 64 lower-case hex digits, and nothing else."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final, Self

from boxship.errors import InvalidRequest

HEX_DIGITS: Final = 64
SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class Digest(str):
    """The name that content has by what it is; whoever holds one holds a good one.

    It is text, so that it goes into documents and rows as it is; it is safe as a file name
    once the algorithm is taken off (`hex`).
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `sha256:<hex>`; anything else is an InvalidRequest."""
        if not SHA256.fullmatch(text):
            raise InvalidRequest(f"invalid digest: {text[:100]!r}")
        return cls(text)

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the digest of `content`."""
        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @classmethod
    def from_hex(cls, digits: str) -> Self:
        """Read the digits that follow the algorithm."""
        return cls.parse("sha256:" + digits)

    @property
    def hex(self) -> str:
        """The digits, without the algorithm."""
        return self[7:]

    @property
    def short(self) -> str:
        """The first twelve digits, as people see them."""
        return self[7:19]


@lru_cache(256)
def chain(parent: Digest | None, layer: Digest) -> Digest:
    """Return the chain ID of `layer` (a diff ID) on top of `parent` (a chain ID)."""
    return layer if parent is None else Digest.of(f"{parent} {layer}".encode())
