"""A few small files of a client's, taken in without a folder to put them in."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from typing import Final

from boxship.build.files.tree import Node, found_in
from boxship.errors import InvalidRequest
from boxship.spec.buildkit.session_pb2 import Stat
from boxship.transport.filesync.packets import Packets, conversed
from boxship.transport.http2 import Stream
from boxship.wire import fsutil
from boxship.wire.fsutil import BadTransfer

MOST_ENTRIES: Final = 100_000  # who names a folder has all that is in it announced


async def gather(stream: Stream, wanted: Iterable[str], limit: int) -> Gathered:
    """Have the files of these names sent, as far as they are no larger than `limit`."""
    files = Gathered(wanted, limit)

    async def take(messages: Sequence[bytes]) -> list[int]:
        return files.take(messages)

    await conversed(stream, files, take)
    return files


class Gathered(Packets):
    """Files in memory; fulfils build.needs.Few. Asked for when all links are known."""

    def __init__(self, wanted: Iterable[str], limit: int) -> None:
        super().__init__()
        self.size = 0
        self._wanted = [os.fsencode(name) for name in wanted]
        self._limit = limit
        self._root = Node(stat.S_IFDIR)
        self._count = 0
        self._contents: dict[int, bytes] = {}
        self._arriving: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether everything is there."""
        return self.listed and not self._arriving

    @property
    def count(self) -> int:
        """How many entries have been announced."""
        return self._count

    def announced(self, said: Stat) -> bool:
        """Note an entry; its data may be wanted later."""
        number, self._count = self._count, self._count + 1
        if number >= MOST_ENTRIES:
            raise BadTransfer(f"a transfer of more than {MOST_ENTRIES} entries for a few files")
        *up, name = fsutil.split(said.path)
        names = self._find(up).names
        if names is None:
            raise BadTransfer(f"the folder of {said.path[:200]!r} was not announced")
        if name in names:
            raise BadTransfer(f"a transfer is out of order at {said.path[:200]!r}")
        mode = fsutil.to_unix(said.mode)
        if stat.S_ISREG(mode) and said.linkname:
            names[name] = self._find(fsutil.split(said.linkname))
            return False
        names[name] = node = Node(mode)
        node.at, node.st_size, node.link = number, said.size, said.linkname
        return False

    def _find(self, path: Sequence[bytes]) -> Node:
        here = self._root
        for name in path:
            inner = None if here.names is None else here.names.get(name)
            if inner is None:
                raise BadTransfer(f"{b'/'.join(path)[:200]!r} was not announced")
            here = inner
        return here

    def end_of_list(self) -> Iterable[int]:
        """Want what the names lead to."""
        nodes = [node for name in self._wanted if (node := self._file(name)) is not None]
        self._arriving = {one.at for one in nodes if 0 < one.st_size <= self._limit}
        return sorted(self._arriving)

    def data(self, number: int, data: bytes) -> None:
        """Take some of a file; nothing is its end."""
        if number not in self._arriving:
            raise BadTransfer("data of a file that was not asked for")
        if not data:
            self._arriving.discard(number)
            return
        self.size += len(data)
        come = self._contents[number] = self._contents.get(number, b"") + data
        if len(come) > self._limit:
            raise BadTransfer("a file is larger than it was said to be")

    def _file(self, name: bytes) -> Node | None:
        found = found_in(self._root, name)
        return found[1] if found is not None and stat.S_ISREG(found[1].st_mode) else None

    def read(self, path: str, limit: int) -> bytes | None:
        """Return a file's content; None where there is no such file. No link leads outside."""
        node = self._file(os.fsencode(path))
        if node is None:
            return None
        data = self._contents.get(node.at, b"")
        if max(len(data), node.st_size) > limit:
            raise InvalidRequest(f"{path} is larger than {limit} bytes")
        return data
