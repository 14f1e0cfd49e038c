"""The content store that clients read: what is kept of builds, and the engine's own blobs.

containerd.services.content.v1.Content: Info, List, Read. Clients write nothing here.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final

from boxship.build.control import status, telling
from boxship.build.control.calls import asked as asked_of
from boxship.build.control.kept import Blob, Kept
from boxship.content.errors import NoSuchBlob
from boxship.content.store import Blobs
from boxship.errors import InvalidRequest, NotSupported
from boxship.lib import re2
from boxship.spec.buildkit import content_pb2 as pb
from boxship.spec.digest import Digest
from boxship.transport.http2 import Stream

CONTENT: Final = "/containerd.services.content.v1.Content/"
REFUSED: Final = ("Update", "Delete", "Status", "ListStatuses", "Write", "Abort")
PIECE: Final = 256 << 10
TOGETHER: Final = 500
FILTER: Final = re.compile(r"digest\s*(==|~=)\s*\"?([^\",]+)\"?")


class Contents:
    """Answers the calls of a content store."""

    def __init__(self, kept: Kept, blobs: Blobs) -> None:
        self._kept = kept
        self._blobs = blobs
        self.calls: Mapping[str, Callable[[Stream], Awaitable[None]]] = {
            f"{CONTENT}Info": self._info,
            f"{CONTENT}List": self._list,
            f"{CONTENT}Read": self._read,
            **{f"{CONTENT}{name}": _refuse for name in REFUSED},
        }

    async def _info(self, stream: Stream) -> None:
        asked = await asked_of(stream, pb.InfoRequest)
        found = await asyncio.to_thread(self._find, Digest.parse(asked.digest))
        await stream.send(pb.InfoResponse(info=_info_of(found)).SerializeToString())

    async def _list(self, stream: Stream) -> None:
        asked = await asked_of(stream, pb.ListRequest)
        found = await asyncio.to_thread(self._listed, list(asked.filters))
        stream.answer()
        for at in range(0, len(found), TOGETHER):
            some = pb.ListResponse(info=map(_info_of, found[at : at + TOGETHER]))
            await stream.send(some.SerializeToString())

    async def _read(self, stream: Stream) -> None:
        asked = await asked_of(stream, pb.ReadRequest)
        digest = Digest.parse(asked.digest)
        found = await asyncio.to_thread(self._find, digest)
        if asked.offset < 0 or asked.size < 0 or asked.offset > found.size:
            raise InvalidRequest(f"{digest} has {found.size} bytes")
        size = min(asked.size or found.size, found.size - asked.offset)
        file = await asyncio.to_thread(self._open, digest)
        try:
            stream.answer()
            at, end = asked.offset, asked.offset + size
            while at < end:
                data = await asyncio.to_thread(os.pread, file, min(PIECE, end - at), at)
                if not data:
                    break
                await stream.send(pb.ReadResponse(offset=at, data=data).SerializeToString())
                at += len(data)
        finally:
            os.close(file)

    def _find(self, digest: Digest) -> Blob:
        try:
            return self._kept.find(digest)
        except NoSuchBlob:
            return _engines(self._blobs, digest)

    def _open(self, digest: Digest) -> int:
        try:
            return self._kept.open(digest)
        except NoSuchBlob:
            return self._blobs.open(digest)

    def _listed(self, filters: Sequence[str]) -> list[Blob]:
        tests = [_test(one) for one in filters if one]
        found = {one.digest: one for one in self._every()}
        return [
            one
            for digest, one in sorted(found.items())
            if not tests or any(test(digest) for test in tests)
        ]

    def _every(self) -> Iterator[Blob]:
        yield from self._kept.all()
        for digest in self._blobs.digests():
            try:
                yield _engines(self._blobs, digest)
            except NoSuchBlob:
                continue


async def progress(kept: Kept, digest: Digest) -> AsyncIterator[bytes]:
    """Yield the messages of a build's progress that is kept."""
    file = await asyncio.to_thread(kept.open, digest)
    try:
        messages = telling.messages(file)
        while (message := await asyncio.to_thread(next, messages, None)) is not None:
            yield message
    finally:
        os.close(file)


def _engines(blobs: Blobs, digest: Digest) -> Blob:
    try:
        found = os.stat(blobs.path(digest))
    except FileNotFoundError:
        raise NoSuchBlob(digest) from None
    return Blob(digest, found.st_size, found.st_mtime_ns)


def _info_of(blob: Blob) -> pb.Info:
    found = pb.Info(digest=blob.digest, size=blob.size)
    found.created_at.CopyFrom(status.stamp(blob.written))
    found.updated_at.CopyFrom(status.stamp(blob.written))
    return found


def _test(said: str) -> Callable[[str], bool]:
    found = FILTER.fullmatch(said.strip())
    if found is None:
        raise InvalidRequest(f"invalid filter of content: {said[:200]!r}")
    if found[1] == "==":
        return found[2].__eq__
    return re2.compile(found[2]).search


async def _refuse(stream: Stream) -> None:
    raise NotSupported(f"{stream.path}: clients only read this content store")
