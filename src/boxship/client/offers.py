"""What the client of a build serves to the engine: files, secrets, the ssh agent, credentials.

The engine calls these over the connection that we have opened; what is not offered is refused
there and not asked for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from boxship.client import sshagents
from boxship.client.contents import Contents
from boxship.client.sshagents import Agent
from boxship.client.tokens import Authority
from boxship.errors import InvalidRequest, NotFound
from boxship.spec.buildkit import control_pb2 as control
from boxship.spec.buildkit import session_pb2 as messages
from boxship.transport.filesync.choose import Choice, follow
from boxship.transport.filesync.receive import receive
from boxship.transport.filesync.send import Tree, send
from boxship.transport.http2 import Stream
from boxship.wire.grpc import Code, Failed

SYNC: Final = "/moby.filesync.v1.FileSync/DiffCopy"
SEND: Final = "/moby.filesync.v1.FileSend/DiffCopy"
CREDENTIALS: Final = "/moby.filesync.v1.Auth/Credentials"
GET_AUTHORITY: Final = "/moby.filesync.v1.Auth/GetTokenAuthority"
VERIFY_AUTHORITY: Final = "/moby.filesync.v1.Auth/VerifyTokenAuthority"
FETCH_TOKEN: Final = "/moby.filesync.v1.Auth/FetchToken"
SECRET: Final = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
CHECK_AGENT: Final = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD_AGENT: Final = "/moby.sshforward.v1.SSH/ForwardAgent"
PULL: Final = "/moby.upload.v1.Upload/Pull"
HEALTH: Final = "/grpc.health.v1.Health/Check"
ROOT: Final = (0, 0)  # whose the files of a context are
PIECE: Final = 32 << 10

Login = tuple[str, str]


@dataclass(slots=True)
class Offers:
    """What this client serves.

    folders: by name. secrets: where each is read. agents: by name. targets: where
    results go, by number: a folder, or a descriptor that takes an archive. uploads: descriptors
    that are sent, by path. login: asks for a registry's user and password, or an identity token;
    the engine gets tokens made of it, and it itself only where a registry knows no tokens.
    stores: folders in OCI layout, by name.
    """

    folders: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    agents: Mapping[str, Agent] = field(default_factory=dict)
    targets: Mapping[int, str | int] = field(default_factory=dict)
    uploads: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    login: Callable[[str], Login] | None = None
    stores: Mapping[str, str] = field(default_factory=dict)
    authority: Authority | None = field(default=None, init=False)

    @property
    def methods(self) -> Sequence[str]:
        """What the engine may call."""
        return tuple(self._calls())

    def _calls(self) -> dict[str, Callable[[Stream], object]]:
        calls: dict[str, Callable[[Stream], object]] = {HEALTH: self._health}
        if self.folders:
            calls[SYNC] = self._sync
        if self.targets:
            calls[SEND] = self._take
        if self.login:
            calls[CREDENTIALS] = self._credentials
            calls[GET_AUTHORITY] = self._get_authority
            calls[VERIFY_AUTHORITY] = self._verify_authority
            calls[FETCH_TOKEN] = self._fetch_token
        if self.secrets:
            calls[SECRET] = self._secret
        if self.agents:
            calls[CHECK_AGENT] = self._check_agent
            calls[FORWARD_AGENT] = self._agent
        if self.uploads:
            calls[PULL] = self._upload
        if self.stores:
            calls.update(Contents(self.stores).calls)
        return calls

    async def serve(self, stream: Stream) -> None:
        """Answer one call of the engine's."""
        call = self._calls().get(stream.path)
        if call is None:
            raise Failed(Code.UNIMPLEMENTED, f"{stream.path} is not offered")
        await call(stream)  # type: ignore[misc]

    async def _health(self, stream: Stream) -> None:
        await stream.receive()
        await stream.send(control.HealthResponse(status=1).SerializeToString())

    async def _sync(self, stream: Stream) -> None:
        name = _one(stream, "dir-name")
        if name not in self.folders:
            raise NotFound(f"no folder {name!r} is offered")
        folder = self.folders[name]
        include = _all(stream, "include-patterns")
        if wanted := _all(stream, "followpaths"):
            followed = await asyncio.to_thread(follow, folder, wanted)
            include = [*include, *followed] if followed else []
        choice = Choice(include, _all(stream, "exclude-patterns"))
        await send(stream, Tree(folder, choice, ROOT))

    async def _take(self, stream: Stream) -> None:
        number = _one(stream, "buildkit-attachable-exporter-id") or "0"
        if not number.isdecimal() or int(number) not in self.targets:
            raise NotFound(f"no place for result {number[:20]!r}")
        target = self.targets[int(number)]
        if isinstance(target, str):
            await receive_over(stream, target)
            return
        while messages_ := await stream.receive_all():
            parts = [messages.BytesMessage.FromString(one).data for one in messages_]
            await asyncio.to_thread(_write_all, target, b"".join(parts))

    async def _credentials(self, stream: Stream) -> None:
        asked = messages.CredentialsRequest.FromString(await stream.receive() or b"")
        user, secret = await self._known(asked.host)
        answer = messages.CredentialsResponse(username=user, secret=secret)
        await stream.send(answer.SerializeToString())

    async def _known(self, host: str) -> Login:
        assert self.login is not None
        return await asyncio.to_thread(self.login, host)

    def _authority(self) -> Authority:
        if self.authority is None:
            self.authority = Authority(self._known)
        return self.authority

    async def _get_authority(self, stream: Stream) -> None:
        asked = messages.GetTokenAuthorityRequest.FromString(await stream.receive() or b"")
        await stream.send((await self._authority().key(asked)).SerializeToString())

    async def _verify_authority(self, stream: Stream) -> None:
        asked = messages.VerifyTokenAuthorityRequest.FromString(await stream.receive() or b"")
        await stream.send((await self._authority().prove(asked)).SerializeToString())

    async def _fetch_token(self, stream: Stream) -> None:
        asked = messages.FetchTokenRequest.FromString(await stream.receive() or b"")
        await stream.send((await self._authority().fetch(asked)).SerializeToString())

    async def _secret(self, stream: Stream) -> None:
        asked = messages.GetSecretRequest.FromString(await stream.receive() or b"")
        if asked.id not in self.secrets:
            raise NotFound(f"secret {asked.id}: not found")
        data = await asyncio.to_thread(self.secrets[asked.id])
        await stream.send(messages.GetSecretResponse(data=data).SerializeToString())

    async def _check_agent(self, stream: Stream) -> None:
        asked = messages.CheckAgentRequest.FromString(await stream.receive() or b"")
        self._agent_of(asked.id)
        await stream.send(messages.CheckAgentResponse().SerializeToString())

    def _agent_of(self, id: str) -> Agent:
        id = id or "default"
        if id not in self.agents:
            raise NotFound(f"unset ssh forward key {id}")
        return self.agents[id]

    async def _agent(self, stream: Stream) -> None:
        agent = self._agent_of(_one(stream, "buildkit.ssh.id"))
        coming = sshagents.Messages()
        async with agent.conversation() as ask:
            stream.answer()
            while (message := await stream.receive()) is not None:
                for asked in coming.feed(messages.BytesMessage.FromString(message).data):
                    data = sshagents.framed(await ask(asked))
                    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
                    await stream.send(
                        *(messages.BytesMessage(data=one).SerializeToString() for one in pieces)
                    )

    async def _upload(self, stream: Stream) -> None:
        path = _one(stream, "urlpath")
        if path not in self.uploads:
            raise NotFound(f"no upload {path!r}")
        read = self.uploads[path]
        while data := await asyncio.to_thread(read):
            pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
            await stream.send(
                *(messages.BytesMessage(data=piece).SerializeToString() for piece in pieces)
            )


async def receive_over(stream: Stream, folder: str) -> None:
    """Add a result to a folder: what else is in it stays."""
    await receive(stream, folder, keep=True)


def _all(stream: Stream, name: str) -> list[str]:
    values = list(stream.metadata.get(name, ()))
    if stream.metadata.get(f"{name}-encoded"):
        values = [unquote(value, errors="surrogateescape") for value in values]
    return values


def _one(stream: Stream, name: str) -> str:
    return next(iter(stream.metadata.get(name, ())), "")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise InvalidRequest(f"the result cannot be written: {error.strerror}") from None
