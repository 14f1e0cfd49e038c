"""Archives of layers that are put together while later steps of the build go on.

A layer of which an image will be made needs an archive and its digest. What a copy pours is said
while it is made (`files.tars`); of any other step the layer is packed when the step has ended, by
a thread that nobody waits for, and brought to the disk. Where nobody wants it, because the build
has failed, or was cancelled, it goes with the build. A killed daemon leaves an arriving blob, as
any other, which the next one removes.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from boxship.build import stopping
from boxship.build.cache.records import Held, Records
from boxship.build.files.tars import Tars
from boxship.build.stopping import Stopped
from boxship.content.assembly import Assembly
from boxship.content.errors import WrongContent
from boxship.content.store import Blobs, Lease
from boxship.snapshot.driver import ChainId
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.digest import Digest

LOG: Final = logging.getLogger(__name__)
MUCH: Final = 4 << 20  # a layer that takes less is packed in no time when it is wanted


@dataclass(slots=True)
class _Archive:
    """One that is put together: for so many builds, until nobody wants it any more."""

    builds: int = 0
    unwanted: threading.Event = field(default_factory=threading.Event)
    made: Future[Assembly] = field(default_factory=Future)


class Ahead:
    """Puts archives together; safe to use from any thread."""

    def __init__(
        self, records: Records, snapshots: Snapshots, blobs: Blobs, tars: Tars, at_once: int
    ) -> None:
        """So many at a time; those that wait are made by who wants them, if that is sooner."""
        self._records = records
        self._snapshots = snapshots
        self._blobs = blobs
        self._tars = tars
        self._pool = ThreadPoolExecutor(at_once, "pack")
        self._turn = threading.Lock()
        self._archives: dict[ChainId, _Archive] = {}

    def begin(self, chain: ChainId, held: Held) -> None:
        """Begin with a layer, if it is large; what comes of it is kept until the build ends."""
        chain = self._records.current(chain)
        layer = self._records.layers.get(chain)
        if layer is None or layer.size < MUCH or layer.diff_id is not None:
            return
        if self._tars.has(chain):
            return
        with self._turn:
            archive = self._archives.get(chain)
            if archive is None:
                archive = self._archives[chain] = _Archive()
                archive.made = self._pool.submit(self._pack, chain, archive.unwanted)
            archive.builds += 1
        held.then(partial(self._end, chain, archive))

    def _pack(self, chain: ChainId, unwanted: threading.Event) -> Assembly:
        assembly = self._blobs.assembling(unwanted=unwanted)
        try:
            with stopping.by(unwanted):
                assembly.take(self._snapshots.layer_parts(chain))
                assembly.finish()
        except BaseException:
            assembly.drop()
            raise
        return assembly

    def commit(self, chain: ChainId, lease: Lease) -> Digest | None:
        """Put a layer's archive into the content store; None where there is none.

        Waits for one that is being put together. Whoever wants one that is not begun makes it.
        """
        with self._turn:
            archive = self._archives.pop(chain, None)
        if archive is None or archive.made.cancel():
            return None
        try:
            assembly = archive.made.result()
        except (OSError, WrongContent) as error:
            LOG.warning("a layer could not be packed ahead: %s", error)
            return None
        with assembly:
            return self._blobs.commit_assembled(assembly, lease)

    def _end(self, chain: ChainId, archive: _Archive) -> None:
        """A build that wanted it has ended; nobody waits for what is left to be removed."""
        with self._turn:
            archive.builds -= 1
            if archive.builds or self._archives.get(chain) is not archive:
                return
            del self._archives[chain]
        archive.unwanted.set()
        if not archive.made.cancel():
            threading.Thread(target=_drop, args=(archive.made,), name="pack").start()


def _drop(made: Future[Assembly]) -> None:
    try:
        made.result().drop()
    except (OSError, WrongContent, Stopped):  # it has dropped what there was
        return
