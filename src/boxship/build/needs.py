"""What a build asks of others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client gives for one registry; `token` is an identity token, or empty."""

    user: str = ""
    secret: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Which of a client's folders to bring up to date, and which part of it."""

    name: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()


class Pipe(Protocol):
    """Bytes in both directions."""

    async def read(self) -> bytes:
        """Return what has come, empty at the end."""

    async def write(self, data: bytes) -> None:
        """Send."""

    async def close(self) -> None:
        """Hang up."""


class ClientSession(Protocol):
    """The client of a build, as far as it stays connected and offers something.

    Each method raises NotSupported where the client does not offer that.
    """

    id: str
    shared_key: str  # the same for every build of one client's folder; may be empty

    async def sync(self, request: SyncRequest, folder: str) -> None:
        """Make `folder` hold what the client's has, taking over only what is different."""

    async def secret(self, id: str) -> bytes:
        """Return a secret; NotFound where the client has none of that name."""

    async def agent(self, id: str) -> Pipe:
        """Return a new connection to the client's ssh agent."""

    async def credentials(self, host: str) -> Credentials:
        """Return what the client logs in with at a registry, empty where it has nothing."""

    async def send_tree(self, folder: str, target: int) -> None:
        """Give the client a folder, as result number `target`."""

    async def send_archive(
        self, pieces: Iterator[bytes], attributes: Mapping[str, str], target: int
    ) -> None:
        """Give the client an archive, as result number `target`."""


Sessions = Callable[[Sequence[str]], Awaitable[Sequence[ClientSession]]]
"""Return the sessions with these IDs, waiting a little for those that are about to connect."""
