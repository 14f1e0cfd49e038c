"""`http://…` and `https://…`: one file, kept with what its server says of its version."""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import msgspec

from boxship.build.cache.folders import Folders
from boxship.build.cache.record import Folder, Kind
from boxship.build.digests import joined
from boxship.build.errors import BadGraph
from boxship.build.filesystems import Files
from boxship.build.ops import Source
from boxship.build.sources import web
from boxship.build.sources.source import Asker, Fetched, Looked, Tell, Told
from boxship.spec.platform import Platform

if TYPE_CHECKING:
    import aiohttp

LARGEST: Final = 16 << 30
CHUNK: Final = 1 << 18
UNNAMED: Final = "download"


class Known(msgspec.Struct, omit_defaults=True):
    """What is kept of a file that was fetched."""

    digest: str
    name: str
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the file is to be called and whose it is."""

    name: str
    mode: int
    uid: int
    gid: int
    checksum: str

    @classmethod
    def of(cls, source: Source) -> Shape:
        """Read a source's attributes."""
        attrs = dict(source.attrs)
        name = attrs.get("http.filename") or unquote(
            urlsplit(source.identifier).path.rpartition("/")[2]
        )
        if not name or name in (".", "..") or "/" in name or "\0" in name or len(name) > 255:
            name = UNNAMED
        try:
            return cls(
                name,
                int(attrs.get("http.perm") or "0600", 8) & 0o7777,
                int(attrs.get("http.uid") or 0),
                int(attrs.get("http.gid") or 0),
                attrs.get("http.checksum", ""),
            )
        except ValueError:
            raise BadGraph("invalid attributes of an http source") from None


class HttpSource:
    """Fetches files."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    async def fetch(
        self, source: Source, platform: Platform | None, asker: Asker, tell: Tell
    ) -> Fetched:
        """Return a folder with the file in it."""
        shape = Shape.of(source)
        key = joined(
            "http",
            [source.identifier, shape.name, oct(shape.mode), str(shape.uid), str(shape.gid)],
        )
        async with self._folders.turn(key):
            folder, known = await self._current(source.identifier, shape, key, asker, tell)
        if shape.checksum and known.digest != shape.checksum:
            raise web.Wrong(f"digest mismatch {known.digest}: {shape.checksum}")
        return Fetched(
            Files(self._folders.path(folder)),
            f"http {known.digest} {key}",
            web.shown(source.identifier),
            {"sha256": known.digest.removeprefix("sha256:")},
            _moment(known.modified),
        )

    async def look(self, source: Source, asker: Asker, tell: Tell, *, objects: bool) -> Looked:
        """Say which file it is; it is fetched for that, unless it is here."""
        found = await self.fetch(source, None, asker, tell)
        digest = f"sha256:{found.digest['sha256']}"
        return Looked(digest, filename=Shape.of(source).name, date=found.date)

    async def _current(
        self, url: str, shape: Shape, key: str, asker: Asker, tell: Tell
    ) -> tuple[Folder, Known]:
        """Return what was kept if it still is so, and otherwise fetch it."""
        kept = self._folders.find(Kind.HTTP, key)
        known = msgspec.json.decode(kept.note, type=Known) if kept and kept.note else None
        if kept is not None and known is not None:
            asker.held.folder(kept)
            if shape.checksum and shape.checksum == known.digest:
                await asyncio.to_thread(self._folders.keep, kept)
                return kept, known
        headers = _condition(known)
        async with web.opened(url, headers) as found:
            answer = found.answer
            if kept is not None and known is not None and answer.status == 304:
                await asyncio.to_thread(self._folders.keep, kept)
                return kept, known
            if answer.status != 200:
                raise web.Wrong(f"invalid response status {answer.status}")
            return await self._take(answer, url, shape, key, asker, tell)

    async def _take(
        self,
        answer: aiohttp.ClientResponse,
        url: str,
        shape: Shape,
        key: str,
        asker: Asker,
        tell: Tell,
    ) -> tuple[Folder, Known]:
        folder = self._folders.make(Kind.HTTP, key, f"http url {web.shown(url)}", asker.held)
        path = os.path.join(self._folders.path(folder), shape.name)
        try:
            digest = await _save(answer, path, url, tell)
            modified = answer.headers.get("Last-Modified", "")
            await asyncio.to_thread(_finish, path, shape, modified)
            known = Known(digest, shape.name, answer.headers.get("ETag", ""), modified)
            folder.note = msgspec.json.encode(known).decode()
            for old in self._folders.all(Kind.HTTP, key):
                old.key = ""  # builds that still use it keep it; it goes with the next pruning
            await asyncio.to_thread(self._folders.keep, folder)
        except BaseException:
            await asyncio.to_thread(self._folders.discard, folder)
            raise
        return folder, known


def _condition(known: Known | None) -> Mapping[str, str]:
    if known is None:
        return {}
    if known.etag:
        return {"If-None-Match": known.etag}
    return {"If-Modified-Since": known.modified} if known.modified else {}


async def _save(answer: aiohttp.ClientResponse, path: str, url: str, tell: Tell) -> str:
    """Write the body; return its digest."""
    digest, size = hashlib.sha256(), 0
    total = answer.content_length or 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)
    try:
        async for piece in answer.content.iter_chunked(CHUNK):
            size += len(piece)
            if size > LARGEST:
                raise web.Wrong(f"{web.shown(url)} is larger than {LARGEST >> 30} GiB")
            await asyncio.to_thread(_write, file, digest, piece)
            tell(Told(web.shown(url), "downloading", size, total))
    finally:
        os.close(file)
    tell(Told(web.shown(url), "downloading", size, size, done=True))
    return "sha256:" + digest.hexdigest()


def _write(file: int, digest: hashlib._Hash, piece: bytes) -> None:
    digest.update(piece)
    view = memoryview(piece)
    while view:
        view = view[os.write(file, view) :]


def _finish(path: str, shape: Shape, modified: str) -> None:
    os.chown(path, shape.uid, shape.gid)
    os.chmod(path, shape.mode)
    at = _moment(modified) or 0
    os.utime(path, (at, at))


def _moment(said: str) -> int | None:
    """Read a date of HTTP; None for what is none."""
    try:
        return int(email.utils.parsedate_to_datetime(said).timestamp()) if said else None
    except ValueError:
        return None
