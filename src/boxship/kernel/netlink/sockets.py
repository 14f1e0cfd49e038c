"""A netlink socket: batches out, acknowledgements, answers and errors in.

A socket stays in the network namespace in which it was opened, whatever its thread does later.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Final, Self

from boxship.kernel.netlink.codec import (
    HEADER,
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    Request,
    attribute_map,
    messages,
    to_text,
)

NETLINK_ROUTE: Final = 0
NETLINK_NETFILTER: Final = 12

SOL_NETLINK: Final = 270
NETLINK_ADD_MEMBERSHIP: Final = 1
NETLINK_CAP_ACK: Final = 10
NETLINK_EXT_ACK: Final = 11
NETLINK_GET_STRICT_CHK: Final = 12
NLM_F_DUMP_INTR: Final = 0x10

NLMSGERR_ATTR_MSG: Final = 1
RECEIVE_SIZE: Final = 1 << 17
DUMP_TRIES: Final = 5


class NetlinkError(OSError):
    """The kernel refused a message; the text has its own words where it gave some."""

    def __init__(self, code: int, position: int, reason: str = "") -> None:
        told = f"{os.strerror(code)}: {reason}" if reason else os.strerror(code)
        super().__init__(code, told)
        self.position = position  # which message of the batch
        self.reason = reason


class Netlink:
    """One socket of one protocol; safe to use from several threads, one batch at a time."""

    def __init__(self, protocol: int, groups: Sequence[int] = ()) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
        )
        self._turn = threading.Lock()
        self._sequence = 0
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK):
            self._socket.setsockopt(SOL_NETLINK, option, 1)
        if protocol == NETLINK_ROUTE:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The socket's own address; the kernel names it in what it tells others."""
        address: tuple[int, int] = self._socket.getsockname()
        return address[0]

    def fileno(self) -> int:
        """Return the descriptor, for waiting until something can be received."""
        return self._socket.fileno()

    def close(self) -> None:
        """Let go of the socket and, with it, of its hold on the namespace."""
        self._socket.close()

    def send(self, requests: Sequence[Request]) -> None:
        """Carry out a batch in order; raise NetlinkError for the first that was refused.

        The messages before a refused one have taken effect, and so have those after it.
        """
        with self._turn:
            first = self._write(requests, NLM_F_ACK)
            failure: NetlinkError | None = None
            left = len(requests)
            while left:
                for message in messages(self._socket.recv(RECEIVE_SIZE)):
                    place = message.sequence - first
                    if message.type != NLMSG_ERROR or not 0 <= place < len(requests):
                        continue
                    left -= 1
                    failure = failure or refusal(message, place)
            if failure is not None:
                raise failure

    def transact(self, requests: Sequence[Request], *, asking: Sequence[int]) -> None:
        """Send a batch that the kernel takes whole or not at all (nfnetlink).

        Only the messages at the places `asking` are acknowledged; a refusal comes for any.
        """
        with self._turn:
            first = self._write(requests, 0, asking)
            left = set(asking)
            failure: NetlinkError | None = None
            while left and failure is None:
                for message in messages(self._socket.recv(RECEIVE_SIZE)):
                    place = message.sequence - first
                    if message.type == NLMSG_ERROR and 0 <= place < len(requests):
                        left.discard(place)
                        failure = failure or refusal(message, place)
            if failure is not None:
                self._drain()
                raise failure

    def get(self, request: Request) -> Message:
        """Ask for one object."""
        with self._turn:
            first = self._write([request], 0)
            while True:
                for message in messages(self._socket.recv(RECEIVE_SIZE)):
                    if message.sequence != first:
                        continue
                    if message.type == NLMSG_ERROR:
                        raise refusal(message, 0) or NetlinkError(errno.ENODATA, 0)
                    return message

    def dump(self, request: Request) -> list[Message]:
        """Ask for all objects of a kind; asked again when they changed meanwhile."""
        with self._turn:
            for _ in range(DUMP_TRIES):
                found, whole = self._dump_once(request)
                if whole:
                    break
            return found

    def receive(self) -> list[Message]:
        """Take what was told to the groups this socket belongs to; waits for the first.

        Raises OSError(ENOBUFS) when the kernel had to drop some.
        """
        return list(messages(self._socket.recv(RECEIVE_SIZE)))

    def _dump_once(self, request: Request) -> tuple[list[Message], bool]:
        first = self._write([request], NLM_F_DUMP)
        found: list[Message] = []
        whole = True
        while True:
            for message in messages(self._socket.recv(RECEIVE_SIZE)):
                if message.sequence != first:
                    continue
                whole = whole and not message.flags & NLM_F_DUMP_INTR
                if message.type == NLMSG_ERROR:
                    raise refusal(message, 0) or NetlinkError(errno.EPROTO, 0)
                if message.type == NLMSG_DONE:
                    code = struct.unpack_from("i", message.body)[0] if message.body else 0
                    if code < 0:
                        raise NetlinkError(-code, 0)
                    return found, whole
                found.append(message)

    def _write(self, requests: Sequence[Request], flags: int, asking: Sequence[int] = ()) -> int:
        first = self._sequence + 1
        parts: list[bytes] = []
        for place, request in enumerate(requests):
            self._sequence += 1
            wanted = request.flags | flags | NLM_F_REQUEST | (NLM_F_ACK if place in asking else 0)
            size = HEADER.size + len(request.body)
            parts.append(HEADER.pack(size, request.type, wanted, self._sequence, 0))
            parts.append(request.body + b"\0" * (-size % 4))
        self._socket.send(b"".join(parts))
        return first

    def _drain(self) -> None:
        try:
            while self._socket.recv(RECEIVE_SIZE, socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            pass


def refusal(message: Message, place: int) -> NetlinkError | None:
    """Read an acknowledgement; None when it says that all is well."""
    code: int = -struct.unpack_from("i", message.body)[0]
    if code == 0:
        return None
    reason = ""
    if message.flags & NLM_F_ACK_TLVS:
        size = HEADER.unpack_from(message.body, 4)[0]
        after = 4 + (HEADER.size if message.flags & NLM_F_CAPPED else (size + 3) & ~3)
        reason = to_text(attribute_map(message.body, after).get(NLMSGERR_ATTR_MSG, b""))
    return NetlinkError(code, place, reason)
