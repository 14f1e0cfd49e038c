"""Where files come from: what each kind of source answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from boxship.build.cache.records import Held
from boxship.build.filesystems import Value
from boxship.build.needs import ClientSession
from boxship.build.ops import Source
from boxship.build.policy import NOBODY, Judges
from boxship.distribution.auth import ANONYMOUS, Credentials
from boxship.errors import BoxshipError
from boxship.spec.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """For whom a source is fetched."""

    sessions: Sequence[ClientSession]
    held: Held
    credentials: Mapping[str, Credentials] = field(default_factory=dict)
    pull: bool = False
    keep_failed: bool = False  # what failed steps leave behind
    judges: Judges = NOBODY
    context: str = ""  # the identifier of the build's own, if it has one

    async def login(self, host: str) -> Credentials:
        """Return what a registry is shown, anonymous where nobody gives anything."""
        if (given := self.credentials.get(host)) is not None:
            return given
        for session in self.sessions:
            try:
                if (deputy := await session.authority(host)) is not None:
                    return Credentials(server=host, deputy=deputy)
                said = await session.credentials(host)
            except BoxshipError:
                continue
            if said.user or said.token or said.secret:
                return Credentials(said.user, said.secret, said.token, server=host)
        return ANONYMOUS


@dataclass(frozen=True, slots=True)
class Told:
    """How far a part of a source is: a layer, a transfer."""

    id: str
    name: str = ""
    current: int = 0
    total: int = 0
    done: bool = False


Tell = Callable[[Told], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A source's files, and what they are; a source that is a client's folder has no identity:
    what is taken of it is looked at, each time.
    """

    value: Value
    identity: str | None
    uri: str = ""  # what it is called, and by which digests, in what is attested of a build
    digest: Mapping[str, str] = field(default_factory=dict)
    date: int | None = None  # of what time it says that it is, in seconds


@dataclass(frozen=True, slots=True)
class Looked:
    """What is known of a source before it is used.

    checksum: of a repository's ref, which may be a tag's; of a file, with its algorithm. ref: the
    whole name of what is meant. commit: what a tag points to. objects: the commit and the tag.
    """

    checksum: str
    ref: str = ""
    commit: str = ""
    objects: tuple[bytes, bytes] = (b"", b"")
    filename: str = ""
    date: int | None = None  # in seconds


@runtime_checkable
class Looks(Protocol):
    """A kind of source of which something is known before it is used."""

    async def look(self, source: Source, asker: Asker, tell: Tell, *, objects: bool) -> Looked:
        """Say what it is now; `objects`: with what is written in a commit and a tag."""


class Fetcher(Protocol):
    """Fetches one kind of source."""

    async def fetch(
        self, source: Source, platform: Platform | None, asker: Asker, tell: Tell
    ) -> Fetched:
        """Bring a source here."""
