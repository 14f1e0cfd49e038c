"""Archives of layers that were put together while their files were made."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from boxship.build.files.known import KnownFiles, Large
from boxship.build.files.last import Identity, Last, LastCopies, Saved
from boxship.build.files.place import Given
from boxship.build.files.pour import LayerTar
from boxship.build.files.select import Picked
from boxship.content.assembly import Assembly
from boxship.content.errors import NoSuchBlob
from boxship.content.store import Blobs, Lease
from boxship.snapshot.driver import ChainId
from boxship.snapshot.trees import Usage
from boxship.spec.digest import Digest

LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Packed:
    """The archive of a layer, all of which a copy with this key made at this path.

    Without a key the next copy will not look for it.
    """

    archive: LayerTar
    key: str
    path: bytes
    usage: Usage
    identity: Identity = (0, 0)
    saved: Saved | None = None
    committed: bool = False
    large: Sequence[Large] = ()


class Tars:
    """Keeps each until its build ends; safe to use from any thread."""

    def __init__(self, blobs: Blobs, last: LastCopies) -> None:
        self.last = last
        self.known = KnownFiles(last)
        self._blobs = blobs
        self._turn = threading.Lock()
        self._kept: dict[ChainId, Packed] = {}

    def begin(self, known: Last | None, found: Sequence[Picked], given: Given) -> Assembly:
        """Begin one, in pieces where most of it was there last time; keep or drop it."""
        there = known is not None and self._blobs.has_whole(known.blob)
        if known is not None and there and known.has_most_of(found, given):
            with suppress(NoSuchBlob):  # it has just been pruned
                return self._blobs.assembling(known.blob)
        return self._blobs.assembling()

    def keep(self, chain: ChainId, packed: Packed) -> None:
        """Keep the archive of the layer `chain`, which is finished, until `end`."""
        packed.identity = self.last.identity(chain, packed.path)
        with self._turn:
            self._kept[chain] = packed

    def has(self, chain: ChainId) -> bool:
        """Whether there is the archive of a layer."""
        with self._turn:
            return chain in self._kept

    def commit(self, chain: ChainId, lease: Lease) -> Digest | None:
        """Put the archive of a layer into the content store; None where there is none."""
        with self._turn:
            packed = self._kept.get(chain)
            if packed is None or packed.committed:
                return None
            packed.committed = True
        with packed.archive.assembly as assembly:
            return self._blobs.commit_assembled(assembly, lease)

    def named(self, made: ChainId, name: ChainId, diff_id: Digest) -> None:
        """Note what the layer `made` is called, so that the next copy finds its files."""
        with self._turn:
            packed = self._kept.get(made)
        if packed is not None and packed.key:
            blob = packed.archive.assembly.base or diff_id
            files = packed.archive.files
            packed.saved = Saved("", str(name), packed.path, packed.identity, str(blob), files)

    def end(self, chain: ChainId) -> None:
        """The build has ended: an archive that nobody wanted goes, of others is kept what they had.

        Nobody waits for that.
        """
        with self._turn:
            packed = self._kept.pop(chain, None)
        if packed is not None:
            threading.Thread(target=self._end, args=(packed,), name="last copy").start()

    def _end(self, packed: Packed) -> None:
        packed.archive.assembly.drop()
        if packed.saved is not None:
            try:
                self.last.save(packed.key, packed.saved)
                self.known.note(packed.saved, packed.large)
            except OSError as error:  # the next copy makes its files anew
                LOG.warning("what a build copied could not be noted: %s", error)
