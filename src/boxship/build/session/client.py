"""One client of builds: its folders, secrets, ssh agent, credentials, and where results go.

The client has opened the connection, and we call it over that. What it serves it has said when it
connected, as `/SERVICE/METHOD`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import quote

from google.protobuf.message import DecodeError, Message

from boxship.build.needs import Credentials, Few, Pipe, SyncRequest
from boxship.build.session.content import CONTENT, ClientStore
from boxship.build.session.errors import NotOffered
from boxship.build.session.few import gather
from boxship.build.session.tokens import FETCH_TOKEN, GET_AUTHORITY, ClientTokens
from boxship.errors import BoxshipError, NotFound
from boxship.spec.buildkit import control_pb2 as control
from boxship.spec.buildkit import session_pb2 as messages
from boxship.transport.filesync.receive import Transferred, receive
from boxship.transport.filesync.send import Tree, send
from boxship.transport.http2 import ConnectionLost, Http2, Stream
from boxship.wire import grpc
from boxship.wire.fsutil import Seen
from boxship.wire.grpc import BadMessage, Code, Failed, Header

log = logging.getLogger(__name__)

SYNC: Final = "/moby.filesync.v1.FileSync/DiffCopy"
SEND: Final = "/moby.filesync.v1.FileSend/DiffCopy"
CREDENTIALS: Final = "/moby.filesync.v1.Auth/Credentials"
SECRET: Final = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
CHECK_AGENT: Final = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD_AGENT: Final = "/moby.sshforward.v1.SSH/ForwardAgent"
CHECK_POLICY: Final = "/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy"
PULL: Final = "/moby.upload.v1.Upload/Pull"
READ_CONTENT: Final = f"{CONTENT}Read"
HEALTH: Final = "/grpc.health.v1.Health/Check"

ANSWER_WITHIN: Final = 60.0
HEALTH_EVERY: Final = 5.0
HEALTH_WITHIN: Final = 30.0
PIECE: Final = 32 << 10
TOLD_EVERY: Final = 0.2

A = TypeVar("A", bound=Message)


class Client:
    """A connected client; fulfils build.needs.ClientSession."""

    def __init__(
        self,
        connection: Http2,
        *,
        id: str,
        shared_key: str = "",
        name: str = "",
        methods: Iterable[str] = (),
    ) -> None:
        self.id = id
        self.shared_key = shared_key
        self.name = name
        self.connection = connection
        self._methods = frozenset(method.lower() for method in methods)

    def offers(self, method: str) -> bool:
        return method.lower() in self._methods

    async def watch(self) -> None:
        """Return when the client has gone, or does not answer any more."""
        health = control.HealthRequest().SerializeToString()
        while not self.connection.closed.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEALTH_EVERY):
                    await self.connection.closed.wait()
                return
            try:
                await self.connection.ask(HEALTH, health, timeout=HEALTH_WITHIN)
            except ConnectionLost:
                return
            except Failed as failure:
                if failure.code is Code.UNIMPLEMENTED:
                    await self.connection.closed.wait()
                    return
                log.warning("the client of a build does not answer: %s", failure)
                self.connection.close()
                return

    # build.needs.ClientSession

    async def sync(
        self,
        request: SyncRequest,
        folder: str,
        moved: Callable[[int], None] | None = None,
        seen: Seen | None = None,
    ) -> None:
        """Make `folder` hold what the client's has; `moved` hears how much has come."""
        metadata = [("dir-name", request.name), ("override-excludes", "true")]
        metadata += _many("include-patterns", request.include)
        metadata += _many("exclude-patterns", request.exclude)
        metadata += _many("followpaths", request.follow)
        with self._call(SYNC, metadata, f"the folder {request.name!r}") as stream:
            done = Transferred()
            telling = None if moved is None else asyncio.ensure_future(_tell(done, moved))
            try:
                await receive(stream, folder, done, seen=seen)
            finally:
                if telling is not None:
                    telling.cancel()
        if moved is not None:
            moved(done.size)

    async def few(self, name: str, wanted: Sequence[str], limit: int) -> Few:
        metadata = [("dir-name", name), ("override-excludes", "true")]
        metadata += _many("followpaths", wanted)
        with self._call(SYNC, metadata, f"the folder {name!r}") as stream:
            return await gather(stream, wanted, limit)

    async def secret(self, id: str) -> bytes:
        request = messages.GetSecretRequest(id=id)
        try:
            answer = await self.ask(SECRET, request, messages.GetSecretResponse, "a secret")
        except Failed as failure:
            if failure.code is Code.NOT_FOUND:
                raise NotFound(f"secret {id}: not found") from failure
            raise
        return answer.data

    async def agent(self, id: str) -> Pipe:
        id = id or "default"
        request = messages.CheckAgentRequest(id=id)
        what = f"an ssh agent {id!r}"
        await self.ask(CHECK_AGENT, request, messages.CheckAgentResponse, what)
        if not self.offers(FORWARD_AGENT):
            raise NotOffered(what)
        return BytesPipe(self.connection.open(FORWARD_AGENT, [("buildkit.ssh.id", id)]))

    async def credentials(self, host: str) -> Credentials:
        request = messages.CredentialsRequest(host=host)
        try:
            found = await self.ask(
                CREDENTIALS, request, messages.CredentialsResponse, "a registry's credentials"
            )
        except NotOffered:
            return Credentials()
        if found.secret and not found.username:
            return Credentials(token=found.secret)
        return Credentials(found.username, found.secret)

    async def authority(self, host: str) -> ClientTokens | None:
        if not (self.offers(GET_AUTHORITY) and self.offers(FETCH_TOKEN)):
            return None
        return await ClientTokens.of(self, host)

    async def check_policy(self, asked: bytes) -> bytes:
        if not self.offers(CHECK_POLICY):
            raise NotOffered("a judgement of sources")
        return await self.connection.ask(CHECK_POLICY, asked, timeout=ANSWER_WITHIN)

    async def send_tree(self, folder: str, target: int, latest: int | None = None) -> None:
        metadata = [("buildkit-attachable-exporter-id", str(target))]
        with self._call(SEND, metadata, "a place for the result") as stream:
            await send(stream, Tree(folder, latest=latest))
            await stream.finish()
            await _wait_end(stream)

    async def send_archive(
        self, pieces: Iterator[bytes], attributes: Mapping[str, str], target: int
    ) -> None:
        metadata = [("buildkit-attachable-exporter-id", str(target))]
        for key, value in attributes.items():
            metadata += _many(f"exporter-md-{key}", (value,))
        with self._call(SEND, metadata, "a place for the result") as stream:
            waiting = _framed(pieces)
            while some := await asyncio.to_thread(_some, waiting):
                await stream.send(*some)
            await stream.finish()
            await _wait_end(stream)

    def store(self, name: str) -> ClientStore:
        if not self.offers(READ_CONTENT):
            raise NotOffered(f"the content store {name!r}")
        return ClientStore(self.connection, name)

    # What only a door asks

    async def pull(self, path: str) -> Pipe:
        """Return what the client uploads under a path of its own choice."""
        if not self.offers(PULL):
            raise NotOffered("an upload")
        return BytesPipe(
            self.connection.open(PULL, [("urlpath", path), ("urlhost", "buildkit-session")])
        )

    # Calls

    @contextlib.contextmanager
    def _call(self, method: str, metadata: Iterable[Header], what: str) -> Iterator[Stream]:
        if not self.offers(method):
            raise NotOffered(what)
        stream = self.connection.open(method, metadata)
        try:
            yield stream
        except Failed as failure:
            raise _told(failure) from failure
        finally:
            stream.cancel()

    async def ask(self, method: str, request: Message, kind: type[A], what: str) -> A:
        """Make one call of the client; NotOffered where it does not serve that."""
        if not self.offers(method):
            raise NotOffered(what)
        answer = await self.connection.ask(
            method, request.SerializeToString(), timeout=ANSWER_WITHIN
        )
        try:
            return kind.FromString(answer)
        except DecodeError:
            raise BadMessage(f"{method}: the client's answer cannot be read") from None


class BytesPipe:
    """A call whose messages are bytes; fulfils build.needs.Pipe."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def read(self) -> bytes:
        while (message := await self._stream.receive()) is not None:
            try:
                data = messages.BytesMessage.FromString(message).data
            except DecodeError:
                raise BadMessage("a message of bytes cannot be read") from None
            if data:
                return data
        return b""

    async def write(self, data: bytes) -> None:
        await self._stream.send(
            *(
                messages.BytesMessage(data=data[at : at + PIECE]).SerializeToString()
                for at in range(0, len(data), PIECE)
            )
        )

    async def finish(self) -> None:
        """Say that nothing more will be written."""
        await self._stream.finish()

    async def close(self) -> None:
        self._stream.cancel()


async def _tell(done: Transferred, moved: Callable[[int], None]) -> None:
    while True:
        await asyncio.sleep(TOLD_EVERY)
        moved(done.size)


async def _wait_end(stream: Stream) -> None:
    while await stream.receive() is not None:
        pass


def _framed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for at in range(0, len(piece), PIECE):
            yield messages.BytesMessage(data=piece[at : at + PIECE]).SerializeToString()


def _some(waiting: Iterator[bytes], size: int = 8 * PIECE) -> list[bytes]:
    found: list[bytes] = []
    for message in waiting:
        found.append(message)
        size -= len(message)
        if size <= 0:
            break
    return found


def _many(key: str, values: Iterable[str]) -> list[Header]:
    """Return a header for each value; where one is no plain text, all are escaped, and say so."""
    values = list(values)
    if all(value.isascii() and value.isprintable() for value in values):
        return [(key, value) for value in values]
    escaped = [(key, quote(value.encode("utf-8", "surrogateescape"))) for value in values]
    return [*escaped, (f"{key}-encoded", "1")]


def _told(failure: Failed) -> BoxshipError:
    """Return what a client failed with, as one of our kinds."""
    return grpc.kind_of(failure)
