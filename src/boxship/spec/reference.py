"""Image references: `[host[:port]/]path[:tag][@digest]`, with Docker Hub's short forms.

    busybox                      docker.io/library/busybox
    user/app:1                   docker.io/user/app:1
    localhost/app                localhost/app
    [::1]:5000/app@sha256:...    [::1]:5000/app@sha256:...

The canonical form names the host; the familiar form is what people type and see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from boxship.errors import InvalidRequest
from boxship.spec.digest import Digest

HUB: Final = "docker.io"
HUB_OLD: Final = "index.docker.io"
OFFICIAL: Final = "library/"
LATEST: Final = "latest"
ALGORITHM: Final = "sha256"  # `sha256:…` is a digest wherever an image is asked for
NAME_LIMIT: Final = 255
KNOWN: Final = 256  # references that are kept parsed: the same few are asked for all the time
TEXT_LIMIT: Final = 1024  # a name, a tag and a digest are shorter; nothing longer is matched

LABEL: Final = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)"
HOST: Final = rf"(?:{LABEL}(?:\.{LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
REFERENCE: Final = re.compile(
    rf"(?P<host>{HOST})/(?P<path>{COMPONENT}(?:/{COMPONENT})*)"
    rf"(?::(?P<tag>{TAG.pattern}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?",
    re.ASCII,
)
IDENTIFIER: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class InvalidReference(InvalidRequest):
    """The text does not name an image."""


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A name for an image; `host` is never empty."""

    host: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference in any form; the messages are those that clients match on."""
        return _parse(text)

    @property
    def repository(self) -> str:
        """The canonical name without tag and digest."""
        return f"{self.host}/{self.path}"

    @property
    def familiar_repository(self) -> str:
        """The name people use, without tag and digest."""
        if self.host != HUB:
            return self.repository
        short = self.path.removeprefix(OFFICIAL)
        return self.path if "/" in short or looks_like_host(short) else short

    @property
    def familiar(self) -> str:
        """What people type and see."""
        return self.familiar_repository + self._suffix

    def __str__(self) -> str:
        """Return the canonical form."""
        return self.repository + self._suffix

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag

    def with_default_tag(self) -> Reference:
        """Return it with the tag `latest` where it has neither tag nor digest."""
        return self if self.tag or self.digest else self.with_tag(LATEST)

    def for_image(self) -> Reference:
        """Return it as a name that an image is given; InvalidReference where it can be none."""
        if self.digest is not None:
            raise InvalidReference("refusing to create a tag with a digest reference")
        if self.familiar_repository == ALGORITHM:
            raise InvalidReference(
                "refusing to create an ambiguous tag using digest algorithm as name"
            )
        return self.with_default_tag()

    def with_tag(self, tag: str) -> Reference:
        """Return the same repository's `tag`."""
        if not TAG.fullmatch(tag):
            raise InvalidReference("invalid tag format")
        return Reference(self.host, self.path, tag)

    def with_digest(self, digest: Digest) -> Reference:
        """Return the same repository's `digest`."""
        return Reference(self.host, self.path, None, digest)

    def without_digest(self) -> Reference:
        """Return the name that a local tag can have."""
        return Reference(self.host, self.path, self.tag)

    def without_tag(self) -> Reference:
        """Return the repository alone, or with its digest."""
        return Reference(self.host, self.path, None, self.digest)


def looks_like_host(component: str) -> bool:
    """Whether a first component names a host rather than a user of the hub."""
    return (
        component == "localhost"
        or component != component.lower()
        or bool(set(component) & {".", ":"})
    )


def split_host(text: str) -> tuple[str, str]:
    """Return host and the rest, the hub's short forms written out."""
    first, slash, rest = text.partition("/")
    if not slash or not looks_like_host(first):
        first, rest = HUB, text
    if first == HUB_OLD:
        first = HUB
    if first == HUB and "/" not in rest.partition("@")[0]:
        rest = OFFICIAL + rest
    return first, rest


@lru_cache(KNOWN)
def _parse(text: str) -> Reference:
    if len(text) > TEXT_LIMIT:
        raise InvalidReference("invalid reference format")
    if IDENTIFIER.fullmatch(text):
        raise InvalidReference(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    host, rest = split_host(text)
    name = rest.partition("@")[0].partition(":")[0]
    if name != name.lower():
        raise InvalidReference(
            f"invalid reference format: repository name ({name}) must be lowercase"
        )
    if not (found := REFERENCE.fullmatch(f"{host}/{rest}")):
        raise InvalidReference("invalid reference format")
    if len(found["path"]) > NAME_LIMIT:
        raise InvalidReference("repository name must not be more than 255 characters")
    digest = found["digest"]
    return Reference(
        found["host"], found["path"], found["tag"], Digest.parse(digest) if digest else None
    )
