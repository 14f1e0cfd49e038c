"""A client's content stores: blobs by digest, read and written over its session.

A layout of the client's, a cache in a folder, the folder of an export: each a store with a name.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from boxship.content.errors import WrongContent
from boxship.errors import NotFound
from boxship.spec.buildkit import content_pb2 as pb
from boxship.spec.digest import Digest
from boxship.transport.http2 import Http2, Stream
from boxship.wire.grpc import BadMessage, Code, Failed

CONTENT: Final = "/containerd.services.content.v1.Content/"
STORE: Final = "buildkit-attachable-store-id"
PIECE: Final = 256 << 10
ANSWER_WITHIN: Final = 60.0
M = TypeVar("M", bound=Message)


class ClientStore:
    """One store of a client's; fulfils build.needs.ContentStore."""

    def __init__(self, connection: Http2, name: str) -> None:
        self._connection = connection
        self._metadata = [(STORE, name)]
        self._name = name

    async def size(self, digest: Digest) -> int:
        """Return a blob's size; NotFound where there is none."""
        asked = pb.InfoRequest(digest=digest).SerializeToString()
        answer = await self._ask("Info", asked)
        return int(_read(pb.InfoResponse, answer).info.size)

    async def _ask(self, method: str, asked: bytes) -> bytes:
        try:
            return await self._connection.ask(
                CONTENT + method, asked, self._metadata, timeout=ANSWER_WITHIN
            )
        except Failed as failure:
            raise self._told(failure) from failure

    def _told(self, failure: Failed) -> Exception:
        if failure.code is Code.NOT_FOUND:
            return NotFound(f"{self._name}: {failure}")
        return failure

    async def read(self, digest: Digest, size: int) -> AsyncIterator[bytes]:
        """Yield a blob; whoever reads it checks the digest."""
        stream = self._connection.open(CONTENT + "Read", self._metadata)
        come = 0
        try:
            asked = pb.ReadRequest(digest=digest).SerializeToString()
            await stream.send(asked, end=True)
            while (message := await stream.receive()) is not None:
                data = _read(pb.ReadResponse, message).data
                come += len(data)
                if come > size:
                    raise WrongContent(f"{digest} has more than the {size} bytes announced")
                if data:
                    yield data
        except Failed as failure:
            raise self._told(failure) from failure
        finally:
            stream.cancel()

    async def write(self, digest: Digest, size: int, pieces: AsyncIterator[bytes]) -> None:
        """Put a blob there, unless it is there already."""
        stream = self._connection.open(CONTENT + "Write", self._metadata)
        name = f"boxship-{digest.hex[:16]}-{secrets.token_hex(6)}"
        written = 0
        try:
            async for piece in pieces:
                for at in range(0, len(piece), PIECE):
                    data = piece[at : at + PIECE]
                    request = pb.WriteRequest(
                        action=pb.WRITE, ref=name, total=size, offset=written, data=data
                    )
                    if not written:
                        request.expected = digest
                    await self._step(stream, request)
                    written += len(data)
            last = pb.WriteRequest(
                action=pb.COMMIT, ref=name, total=size, offset=written, expected=digest
            )
            await self._step(stream, last, end=True)
        except Failed as failure:
            if failure.code is not Code.ALREADY_EXISTS:
                raise self._told(failure) from failure
        finally:
            stream.cancel()

    async def _step(self, stream: Stream, request: pb.WriteRequest, *, end: bool = False) -> None:
        await stream.send(request.SerializeToString(), end=end)
        answer = await stream.receive()
        if answer is None:
            raise BadMessage("the client's store does not answer")
        _read(pb.WriteResponse, answer)


def _read(kind: type[M], data: bytes) -> M:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise BadMessage("an answer of the client's store cannot be read") from None
