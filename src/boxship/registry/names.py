"""Names in the distribution protocol: repositories, tags and digests. Each has one way in.

A name that was read here is safe as part of a key: no component begins with a dot or an
underscore, or is empty.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final, Self

from boxship.registry.errors import DigestInvalid, NameInvalid, TagInvalid
from boxship.spec.reference import COMPONENT, NAME_LIMIT, TAG

if TYPE_CHECKING:
    from hashlib import _Hash

NAME: Final = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*", re.ASCII)
DIGITS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
DIGEST: Final = re.compile(
    "|".join(f"{algorithm}:[0-9a-f]{{{digits}}}" for algorithm, digits in DIGITS.items()), re.ASCII
)
SHOWN: Final = 200  # characters of a wrong name that a message repeats


class Name(str):
    """A repository's name, without a host."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name; NameInvalid otherwise. Nothing longer than a name can be is matched."""
        if len(text) > NAME_LIMIT or not NAME.fullmatch(text):
            raise NameInvalid(text[:SHOWN])
        return cls(text)


class Tag(str):
    """A tag."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if not TAG.fullmatch(text):
            raise TagInvalid(text[:SHOWN])
        return cls(text)


class Digest(str):
    """A digest by any algorithm that we can check."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a digest; DigestInvalid for another algorithm too."""
        if not DIGEST.fullmatch(text):
            raise DigestInvalid(f"invalid digest: {text[:SHOWN]!r}")
        return cls(text)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        """Return the digest of `content`."""
        return cls(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]

    def hasher(self) -> _Hash:
        """Return what works out a digest of the same algorithm."""
        return hashlib.new(self.algorithm)


Reference = Tag | Digest


def reference(text: str) -> Reference:
    """Read what a manifest is asked for by."""
    return Digest.parse(text) if ":" in text else Tag.parse(text)
