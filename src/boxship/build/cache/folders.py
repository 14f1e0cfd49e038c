"""Folders that outlive a step, each with a record: cache mounts, contexts, checkouts.

<root>/<id>/fs     what is in it; the folder is made before its row and removed after it
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from boxship.build.cache.record import Folder, Kind
from boxship.build.cache.records import Held, Records
from boxship.build.ops import Sharing
from boxship.snapshot import trees


class Folders:
    """Finds and makes them. All methods but `measure` belong to the event loop."""

    def __init__(self, root: str, records: Records, clock: Callable[[], int]) -> None:
        self._root = root
        self._records = records
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._private: set[str] = set()
        os.makedirs(root, 0o700, exist_ok=True)

    def path(self, folder: Folder) -> str:
        """Return where a folder's content is."""
        return os.path.join(self._root, folder.id, "fs")

    def reconcile(self) -> None:
        """Remove folders without a row, and rows without a folder."""
        there = set(os.listdir(self._root))
        for name in there - set(self._records.folders):
            trees.remove_path(os.path.join(self._root, name))
        self._records.drop_folders(set(self._records.folders) - there)

    def find(self, kind: Kind, key: str) -> Folder | None:
        """Return the folder of a key."""
        return next(iter(self.all(kind, key)), None)

    def all(self, kind: Kind, key: str) -> list[Folder]:
        """Return the folders of a key."""
        every = self._records.folders.values()
        return [folder for folder in every if folder.kind is kind and folder.key == key]

    def make(self, kind: Kind, key: str, description: str, held: Held) -> Folder:
        """Make a folder; its content is there when it is recorded by `keep`."""
        now = self._clock()
        folder = Folder(secrets.token_hex(16), kind, key, description, now, now)
        held.folder(folder)
        path = os.path.join(self._root, folder.id)
        os.mkdir(path, 0o700)
        os.mkdir(os.path.join(path, "fs"))
        os.chmod(os.path.join(path, "fs"), 0o755)
        return folder

    def keep(self, folder: Folder, size: int | None = None) -> None:
        """Record a folder, or that it was used once more; it is measured unless that was done."""
        folder.size = self.measure(folder) if size is None else size
        if self.is_known(folder):
            self.note_use(folder, folder.size)
        else:
            folder.used = self._clock()
            self._records.put_folder(folder)

    def is_known(self, folder: Folder) -> bool:
        """Whether a folder is recorded."""
        return folder.id in self._records.folders

    def note_use(self, folder: Folder, size: int) -> None:
        """Note that a recorded folder was used once more, and how large it is now."""
        folder.used, folder.uses, folder.size = self._clock(), folder.uses + 1, size
        self._records.used_folder(folder)

    def measure(self, folder: Folder) -> int:
        """Return how many bytes a folder takes."""
        root = os.open(self.path(folder), trees.FOLDER)
        try:
            return trees.usage(root).size
        finally:
            os.close(root)

    def discard(self, folder: Folder) -> None:
        """Remove a folder."""
        self._records.drop_folders([folder.id])
        trees.remove_path(os.path.join(self._root, folder.id))

    def turn(self, key: str) -> asyncio.Lock:
        """Return what those hold, one after the other, who change the folders of a key."""
        return self._locks.setdefault(key, asyncio.Lock())

    @asynccontextmanager
    async def cache(
        self, key: str, sharing: Sharing, held: Held, fill: Callable[[str], None]
    ) -> AsyncIterator[Folder]:
        """The folder of a cache mount, as it may be shared; `fill` fills one that is new."""
        if sharing is Sharing.LOCKED:
            async with self.turn(key):
                yield await self._cache(self.find(Kind.CACHE_MOUNT, key), key, held, fill)
            return
        found = self.all(Kind.CACHE_MOUNT, key)
        if sharing is Sharing.SHARED:
            async with self.turn("\0" + key):
                found = self.all(Kind.CACHE_MOUNT, key)
                folder = await self._cache(next(iter(found), None), key, held, fill)
            yield folder
            return
        free = next((one for one in found if one.id not in self._private), None)
        folder = await self._cache(free, key, held, fill)
        self._private.add(folder.id)
        try:
            yield folder
        finally:
            self._private.discard(folder.id)

    async def _cache(
        self, folder: Folder | None, key: str, held: Held, fill: Callable[[str], None]
    ) -> Folder:
        if folder is not None:
            held.folder(folder)
            return folder
        folder = self.make(Kind.CACHE_MOUNT, key, f"cached mount {key}", held)
        try:
            await asyncio.to_thread(fill, self.path(folder))
        except BaseException:
            await asyncio.to_thread(self.discard, folder)
            raise
        self._records.put_folder(folder)
        return folder
