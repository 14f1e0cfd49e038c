"""`context://ID`: what a door has taken in for one build; `local://NAME`: a client's.

`context://` is that of the build that asks.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from boxship.build.cache.folders import Folders
from boxship.build.cache.record import Folder, Kind
from boxship.build.cache.records import Records
from boxship.build.digests import joined
from boxship.build.errors import BadGraph
from boxship.build.files.archive import Archive
from boxship.build.files.kept import KeptContext, KeptFolder, Receiving
from boxship.build.files.tree import Tree
from boxship.build.filesystems import Files
from boxship.build.needs import ClientSession, SyncRequest
from boxship.build.ops import Source
from boxship.build.sources.source import Asker, Fetched, Tell, Told
from boxship.errors import NotFound
from boxship.snapshot import trees
from boxship.spec.platform import Platform

CONTEXT: Final = "context://"
LOCAL: Final = "local://"
MOST_INDEXES: Final = 32
MOST_INDEXED: Final = 200_000  # files, of all folders together, where there are several


class Contexts:
    """Folders that belong to one build each.

    <root>/<id>/    made by a door before the build, removed after it
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._archives: dict[str, Archive] = {}
        trees.remove_path(root)
        os.makedirs(root, 0o700)

    @contextmanager
    def new(self) -> Iterator[tuple[str, str]]:
        """An empty folder for a context: its identifier, `context://ID`, and its path."""
        identifier = secrets.token_hex(16)
        path = os.path.join(self._root, identifier)
        os.mkdir(path, 0o755)
        try:
            yield CONTEXT + identifier, path
        finally:
            trees.remove_path(path)

    def put(self, id: str, archive: Archive) -> None:
        """Take in a context that is an archive, until it is dropped."""
        self._archives[id] = archive

    def drop(self, id: str) -> None:
        """Forget an archive."""
        self._archives.pop(id, None)

    def path(self, identifier: str) -> str:
        """Return the folder of an identifier."""
        name = identifier.removeprefix(CONTEXT)
        path = os.path.join(self._root, name)
        if not name.isalnum() or not os.path.isdir(path):
            raise NotFound(f"{identifier}: no such context")
        return path

    async def fetch(
        self, source: Source, platform: Platform | None, asker: Asker, tell: Tell
    ) -> Fetched:
        """Return the folder's files."""
        identifier = asker.context if source.identifier == CONTEXT else source.identifier
        archive = self._archives.get(identifier.removeprefix(CONTEXT))
        if archive is not None:
            return Fetched(Files(archive.folder, archive), None)
        return Fetched(Files(self.path(identifier)), None)


class LocalSource:
    """Folders of the client's, kept between builds so that only what has changed is sent.

    A folder belongs to one build while that goes on; another of the same client meanwhile gets
    one of its own. The newest have an index: what is the same as last time is not looked at again.
    """

    def __init__(self, folders: Folders, records: Records) -> None:
        self._folders = folders
        self._records = records
        self._indexes: dict[str, Tree] = {}  # by folder, that used last being the last

    async def fetch(
        self, source: Source, platform: Platform | None, asker: Asker, tell: Tell
    ) -> Fetched:
        """Bring the folder up to date."""
        attrs = dict(source.attrs)
        name = source.identifier.removeprefix(LOCAL)
        request = SyncRequest(
            name,
            include=lists(attrs, "local.includepattern"),
            exclude=lists(attrs, "local.excludepatterns"),
            follow=lists(attrs, "local.followpaths"),
        )
        session = _session(asker, attrs.get("local.session", ""))
        folder = self._folder(session, attrs, request, asker)
        path = self._folders.path(folder)
        seen = self._receiving(folder)
        moved = 0

        def hear(size: int) -> None:
            nonlocal moved
            moved = size
            tell(Told(f"transferring {name}:", current=size))

        try:
            await session.sync(request, path, hear, seen)
        except BaseException:
            await asyncio.to_thread(self._folders.discard, folder)
            raise
        tell(Told(f"transferring {name}:", current=moved, done=True))
        tree = seen.tree()
        if tree is None:
            await asyncio.to_thread(self._folders.keep, folder)
            return Fetched(Files(path, folder=folder), None)
        if self._folders.is_known(folder):
            self._folders.note_use(folder, seen.size)
        else:
            await asyncio.to_thread(self._folders.keep, folder, seen.size)
        self._remember(folder, tree)
        return Fetched(Files(path, KeptContext(tree, asker.held.then), folder), None)

    def _receiving(self, folder: Folder) -> Receiving:
        """Begin a new index; the last one is true until the transfer begins."""
        path = self._folders.path(folder)
        os.makedirs(path, 0o755, exist_ok=True)  # a power cut may have left the one above it
        tree = self._indexes.pop(folder.id, None)
        return Receiving(KeptFolder(path), None if tree is None else tree.root)

    def _remember(self, folder: Folder, tree: Tree) -> None:
        self._indexes[folder.id] = tree
        for gone in set(self._indexes) - set(self._records.folders):
            del self._indexes[gone]
        while len(self._indexes) > MOST_INDEXES or (
            len(self._indexes) > 1
            and sum(one.count for one in self._indexes.values()) > MOST_INDEXED
        ):
            del self._indexes[next(iter(self._indexes))]

    def _folder(
        self, session: ClientSession, attrs: Mapping[str, str], request: SyncRequest, asker: Asker
    ) -> Folder:
        key = joined(
            "local",
            [
                session.shared_key or session.id,
                attrs.get("local.sharedkeyhint", ""),
                request.name,
                *(attrs.get(f"local.{kind}", "") for kind in ("includepattern", "followpaths")),
            ],
        )
        busy = self._records.held_folders()
        for folder in self._folders.all(Kind.LOCAL, key):
            if not busy[folder.id]:
                asker.held.folder(folder)
                return folder
        return self._folders.make(Kind.LOCAL, key, f"local source for {request.name}", asker.held)


def _session(asker: Asker, wanted: str) -> ClientSession:
    for session in asker.sessions:
        if not wanted or session.id == wanted:
            return session
    raise NotFound("no client session offers files")


def lists(attrs: dict[str, str], key: str) -> tuple[str, ...]:
    """Read an attribute that is a JSON list of text."""
    try:
        found = json.loads(attrs.get(key) or "[]")
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise BadGraph(f"{key} is not a list of text")
    return tuple(found)
