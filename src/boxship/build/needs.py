"""What a build asks of others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from boxship.build.ops import Resources
from boxship.distribution.auth import Deputy
from boxship.model.ids import ContainerId
from boxship.network.sandbox import Sandbox, SandboxRequest
from boxship.shim.client import ShimEvent, Started
from boxship.shim.protocol import ExecRequest, StartRequest
from boxship.spec.digest import Digest
from boxship.spec.oci.runtime import Spec
from boxship.wire.fsutil import Seen


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


class ContentStore(Protocol):
    """Blobs by digest at a client's."""

    async def size(self, digest: Digest) -> int:
        """Return a blob's size; NotFound where there is none."""

    def read(self, digest: Digest, size: int) -> AsyncIterator[bytes]:
        """Yield a blob, not checked."""

    async def write(self, digest: Digest, size: int, pieces: AsyncIterator[bytes]) -> None:
        """Put a blob there, unless it is there already."""


class Few(Protocol):
    """A few files of a client's, with the links that lead to them."""

    size: int  # bytes that have come

    def read(self, path: str, limit: int) -> bytes | None:
        """Return a file's content; None where there is no such file. No link leads outside."""


class ClientSession(Protocol):
    """The client of a build, as far as it stays connected and offers something.

    Each method raises NotSupported where the client does not offer that.
    """

    id: str
    shared_key: str  # the same for every build of one client's folder; may be empty

    async def sync(
        self,
        request: SyncRequest,
        folder: str,
        moved: Callable[[int], None] | None = None,
        seen: Seen | None = None,
    ) -> None:
        """Make `folder` hold what the client's has, taking over only what is different.

        `moved` hears now and then, and at the end, how many bytes have come; `seen` of each file.
        """

    async def few(self, name: str, wanted: Sequence[str], limit: int) -> Few:
        """Return files of the client's folder `name`; of each no more than `limit` bytes."""

    async def secret(self, id: str) -> bytes:
        """Return a secret; NotFound where the client has none of that name."""

    async def agent(self, id: str) -> Pipe:
        """Return a new connection to the client's ssh agent."""

    async def credentials(self, host: str) -> Credentials:
        """Return what the client logs in with at a registry, empty where it has nothing."""

    async def authority(self, host: str) -> Deputy | None:
        """Return who fetches a registry's tokens at the client's; None where nobody does."""

    async def check_policy(self, asked: bytes) -> bytes:
        """Have the client judge a source; the messages are those of BuildKit's policy session."""

    async def send_tree(self, folder: str, target: int, latest: int | None = None) -> None:
        """Give the client a folder, as result number `target`; no time is after `latest`."""

    async def send_archive(
        self, pieces: Iterator[bytes], attributes: Mapping[str, str], target: int
    ) -> None:
        """Give the client an archive, as result number `target`."""

    def store(self, name: str) -> ContentStore:
        """Return a content store of the client's."""


Sessions = Callable[[Sequence[str]], Awaitable[Sequence[ClientSession]]]
"""Return the sessions with these IDs, waiting a little for those that are about to connect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A process to be run as a container of its own, as far as a bundle says it."""

    id: str
    folder: str  # of the bundle; hosts, hostname and resolv.conf are there
    args: Sequence[str]
    env: Sequence[str]
    cwd: str
    user: str
    hostname: str
    network: str  # HostConfig.NetworkMode
    own_network: bool
    insecure: bool
    ulimits: Sequence[tuple[str, int, int]]
    resources: Resources
    taken: Sequence[str] = ()  # mount points of the caller's own
    tty: bool = False
    devices: Sequence[str] = ()  # by their CDI names
    joined: str = ""  # the path of its network namespace, where that is another container's


class Programs(Protocol):
    """Knows what a container is given, and whose files are whose."""

    def spec(self, program: Program, root: int) -> Spec:
        """Return a bundle's configuration, with all that every container has."""

    def owner(self, root: int, user: str, group: str, *, required: bool) -> tuple[int, int]:
        """Look up a user and a group, by name or number, in the files beneath `root`.

        A name that is not there is 0, or NoSuchOwner where it is required.
        """


class Shim(Protocol):
    """The keeper of one process."""

    @property
    def on_event(self) -> Callable[[ShimEvent], None] | None: ...
    @on_event.setter
    def on_event(self, listener: Callable[[ShimEvent], None] | None) -> None: ...
    async def start(self, request: StartRequest, fds: Mapping[str, int]) -> Started: ...
    async def exec(self, request: ExecRequest, fds: Sequence[int] = ()) -> Started: ...
    async def forget(self, exec_id: str) -> None: ...
    async def resize(self, target: str, height: int, width: int) -> None: ...
    async def signal(self, target: str, signal: int) -> None: ...
    async def close(self) -> None: ...


class Spawner(Protocol):
    """Has keepers forked."""

    async def spawn(self, container: str, folder: str) -> Shim: ...


class Keepers(Protocol):
    """Finds keepers again after a start of the daemon, and cleans up behind lost ones."""

    async def connect(self, folder: str) -> Shim: ...
    def settle(self, folder: str) -> None: ...


class Networks(Protocol):
    """Makes the network side of a process."""

    async def open_sandbox(self, request: SandboxRequest) -> Sandbox: ...
    async def close_sandbox(self, container: ContainerId) -> None: ...
