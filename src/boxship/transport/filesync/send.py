"""Offering a folder: what there is, in order, and the bytes of what is asked for."""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
from collections.abc import Iterator
from typing import Final

from google.protobuf.message import DecodeError

from boxship.errors import BoxshipError, InvalidRequest
from boxship.spec.buildkit.session_pb2 import Packet, Stat
from boxship.transport.filesync.choose import START, Choice, Said
from boxship.transport.http2 import Stream
from boxship.wire import fsutil
from boxship.wire.fsutil import BadTransfer, Kind

AT_A_TIME: Final = 256  # entries that are announced together
PIECE: Final = 8 * fsutil.DATA_SIZE  # bytes that are sent together


class Tree:
    """A folder as it is offered; with `owner` everything is said to be theirs.

    Nothing is said to be of a time after `latest` nanoseconds.
    """

    def __init__(
        self,
        folder: str,
        choice: Choice | None = None,
        owner: tuple[int, int] | None = None,
        *,
        latest: int | None = None,
    ) -> None:
        self._folder = os.fsencode(folder)
        self._choice = choice
        self._owner = owner
        self._latest = latest
        self._links: dict[tuple[int, int], bytes] = {}
        self.files: dict[int, bytes] = {}

    def _time(self, modified: int) -> int:
        return modified if self._latest is None else min(modified, self._latest)

    def walk(self) -> Iterator[Stat]:
        """Yield what is offered, in the order of the protocol."""
        for number, said in enumerate(self._below(b"", START)):
            if not said.mode & fsutil.TYPE and not said.linkname:
                self.files[number] = said.path
            yield said

    def _below(self, folder: bytes, parent: Said) -> Iterator[Stat]:
        with os.scandir(os.path.join(self._folder, folder)) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # it has gone since
            if stat.S_ISSOCK(status.st_mode):
                continue
            path = os.path.join(folder, entry.name)
            is_folder = stat.S_ISDIR(status.st_mode)
            sent, enter, said = True, is_folder, parent
            if self._choice is not None:
                shown = path.decode("utf-8", "surrogateescape")
                sent, enter, said = self._choice.below(shown, parent, folder=is_folder)
            inner = self._below(path, said) if enter else iter(())
            if not sent and is_folder:
                first = next(inner, None)  # a folder is sent for what is sent of it
                if first is None:
                    continue
                inner, sent = itertools.chain((first,), inner), True
            if sent:
                yield self._stat(path, status)
                yield from inner

    def _stat(self, path: bytes, status: os.stat_result) -> Stat:
        uid, gid = self._owner or (status.st_uid, status.st_gid)
        said = Stat(
            path=path,
            mode=fsutil.to_go(status.st_mode),
            uid=uid,
            gid=gid,
            mod_time=self._time(status.st_mtime_ns),
        )
        where = os.path.join(self._folder, path)
        if stat.S_ISREG(status.st_mode):
            said.size = status.st_size
            if status.st_nlink > 1:
                key = (status.st_dev, status.st_ino)
                said.linkname = self._links.get(key, b"")
                self._links.setdefault(key, path)
        elif stat.S_ISLNK(status.st_mode):
            said.linkname = os.readlink(where)
            said.mode |= 0o777
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            said.devmajor, said.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        if not stat.S_ISLNK(status.st_mode):
            try:
                for name in os.listxattr(where, follow_symlinks=False):
                    if name.startswith("user.") or name == "security.capability":
                        said.xattrs[name] = os.getxattr(where, name, follow_symlinks=False)
            except OSError:
                pass  # not every filesystem has them
        return said

    def open(self, number: int) -> int:
        """Open a file that was announced."""
        if number not in self.files:
            raise BadTransfer(f"entry {number} is no file that was offered")
        path = os.path.join(self._folder, self.files[number])
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)


async def send(stream: Stream, tree: Tree) -> None:
    """Offer `tree` until the other side has what it wants."""
    announcing = asyncio.ensure_future(_announce(stream, tree))
    try:
        await _answer(stream, tree)
        await announcing
    except BoxshipError:
        if announcing.done() and not announcing.cancelled() and announcing.exception():
            await announcing  # that is why
        raise
    except OSError as error:
        raise InvalidRequest(f"{_shown(error.filename)}: {error.strerror}") from error
    finally:
        announcing.cancel()
        await asyncio.wait([announcing])


def _shown(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else "a file"


async def _announce(stream: Stream, tree: Tree) -> None:
    entries = tree.walk()

    def some() -> list[bytes]:
        part = itertools.islice(entries, AT_A_TIME)
        return [Packet(type=Kind.STAT, stat=said).SerializeToString() for said in part]

    while messages := await asyncio.to_thread(some):
        await stream.send(*messages)
    await stream.send(Packet(type=Kind.STAT).SerializeToString())


async def _answer(stream: Stream, tree: Tree) -> None:
    while messages := await stream.receive_all():
        wanted: list[int] = []
        finished = False
        for message in messages:
            try:
                packet = Packet.FromString(message)
            except DecodeError:
                raise BadTransfer("a packet of a transfer cannot be read") from None
            match packet.type:
                case Kind.REQ:
                    wanted.append(packet.id)
                case Kind.FIN:
                    finished = True
                case Kind.ERR:
                    text = packet.data.decode("utf-8", "replace")[:1000]
                    raise BadTransfer(f"the receiver of files failed: {text}")
                case _:
                    raise BadTransfer(f"an unexpected packet in a transfer: {packet.type}")
        await _send_files(stream, tree, wanted)
        if finished:
            await stream.send(Packet(type=Kind.FIN).SerializeToString())
            return
    raise BadTransfer("the transfer of files ended early")


async def _send_files(stream: Stream, tree: Tree, numbers: list[int]) -> None:
    """Send files one after the other, many small ones at a time."""
    packets = _packets(tree, numbers)

    def some() -> list[bytes]:
        found, size = [], 0
        for packet in packets:
            found.append(packet)
            size += len(packet)
            if size >= PIECE:
                break
        return found

    while messages := await asyncio.to_thread(some):
        await stream.send(*messages)


def _packets(tree: Tree, numbers: list[int]) -> Iterator[bytes]:
    for number in numbers:
        descriptor = tree.open(number)
        try:
            data = b"-"
            while data:
                data = os.read(descriptor, fsutil.DATA_SIZE)
                yield Packet(type=Kind.DATA, id=number, data=data).SerializeToString()
        finally:
            os.close(descriptor)
