"""A call of one request and one answer."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from boxship.transport.http2 import Stream
from boxship.wire.grpc import BadMessage

M = TypeVar("M", bound=Message)


async def asked(stream: Stream, kind: type[M]) -> M:
    """Return the one message of a call that has one."""
    message = await stream.receive()
    if message is None:
        raise BadMessage("a call without a request")
    try:
        return kind.FromString(message)
    except DecodeError:
        raise BadMessage(f"{stream.path}: the request cannot be read") from None


async def answer(stream: Stream, message: Message) -> None:
    """Send the answer."""
    await stream.send(message.SerializeToString())
