"""The receiver's side of the protocol, whatever is done with what comes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from google.protobuf.message import DecodeError

from boxship.spec.buildkit.session_pb2 import Packet, Stat
from boxship.transport.http2 import Stream
from boxship.wire.fsutil import BadTransfer, Kind


class Packets(ABC):
    """Takes packets, and says which files it wants."""

    def __init__(self) -> None:
        self.listed = False
        self.finished = False

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether everything is there."""

    @abstractmethod
    def announced(self, said: Stat) -> bool:
        """Take an entry; return whether its data is wanted."""

    @abstractmethod
    def end_of_list(self) -> Iterable[int]:
        """All is announced; return the numbers of the files that are wanted only now."""

    @abstractmethod
    def data(self, number: int, data: bytes) -> None:
        """Take some of a file; nothing is its end."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many entries have been announced."""

    def take(self, messages: Sequence[bytes]) -> list[int]:
        """Work through packets; return the numbers of the files that are wanted."""
        return [number for message in messages for number in self._take(message)]

    def _take(self, message: bytes) -> Iterator[int]:
        try:
            packet = Packet.FromString(message)
        except DecodeError:
            raise BadTransfer("a packet of a transfer cannot be read") from None
        match packet.type:
            case Kind.DATA:
                self.data(packet.id, packet.data)
            case Kind.STAT:
                if self.listed:
                    raise BadTransfer("a transfer goes on after its end")
                if not packet.HasField("stat") or not packet.stat.path:
                    yield from self.end_of_list()
                    self.listed = True
                elif self.announced(packet.stat):
                    yield self.count - 1
            case Kind.FIN:
                if not self.complete:
                    raise BadTransfer("the sender of files finished too early")
                self.finished = True
            case Kind.ERR:
                text = packet.data.decode("utf-8", "replace")[:1000]
                raise BadTransfer(f"the sender of files failed: {text}")
            case _:
                raise BadTransfer(f"an unknown packet in a transfer: {packet.type}")


async def conversed(
    stream: Stream, packets: Packets, take: Callable[[Sequence[bytes]], Awaitable[list[int]]]
) -> None:
    """Have all that is wanted sent; `take` hands what comes to `packets`."""
    said_end = False
    while not packets.finished:
        messages = await stream.receive_all()
        if not messages:
            raise BadTransfer("the transfer of files ended early")
        if wanted := await take(messages):
            await stream.send(*map(_ask, wanted))
        if packets.complete and not said_end:
            said_end = True
            # Go's server cuts a call off whose caller has not finished sending
            await stream.send(Packet(type=Kind.FIN).SerializeToString(), end=True)
    while await stream.receive() is not None:
        pass


def _ask(number: int) -> bytes:
    return Packet(type=Kind.REQ, id=number).SerializeToString()
