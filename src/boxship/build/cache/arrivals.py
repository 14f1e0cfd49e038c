"""Layers on their way in from a cache or a layout: fetched, checked, unpacked, recorded.

    place --event loop--> Feed --thread--> digest ── unpack ── blob by its diff ID ── snapshot

Each is then a layer of the build cache like one that was made here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from weakref import WeakValueDictionary

from boxship.build.cache.document import Travelling
from boxship.build.cache.places import Place
from boxship.build.cache.record import Layer
from boxship.build.cache.records import Held, Records
from boxship.content.errors import WrongContent
from boxship.content.store import Blobs
from boxship.lib import compression
from boxship.lib.feed import Feed
from boxship.lib.pipe import Abandoned
from boxship.snapshot.driver import ChainId
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.digest import chain


class Arrivals:
    """Brings layers; belongs to one event loop."""

    def __init__(self, records: Records, snapshots: Snapshots, blobs: Blobs) -> None:
        self._records = records
        self._snapshots = snapshots
        self._blobs = blobs
        self._turns: WeakValueDictionary[ChainId, asyncio.Lock] = WeakValueDictionary()

    async def bring(
        self, stack: Sequence[Travelling], place: Place, held: Held, description: str
    ) -> ChainId | None:
        """Have a stack of layers here; return the name of the uppermost."""
        parent: ChainId | None = None
        for layer in stack:
            name = ChainId(chain(parent, layer.diff_id))
            held.chain(name)
            held.blob(layer.diff_id)
            turn = self._turns.setdefault(name, asyncio.Lock())
            async with turn:
                if not self._snapshots.has_layer(name):
                    await self._one(layer, name, parent, place, description)
            parent = name
        return parent

    async def _one(
        self,
        layer: Travelling,
        name: ChainId,
        parent: ChainId | None,
        place: Place,
        description: str,
    ) -> None:
        feed = Feed()
        work = asyncio.to_thread(self._take, feed, layer, name, parent, description)
        taking = asyncio.ensure_future(work)
        try:
            async for piece in place.read(layer.descriptor):
                await feed.put(piece)
        except Abandoned:
            pass  # the thread says why
        except BaseException:
            feed.end(WrongContent("the layer did not come to its end"))
            with suppress(BaseException):
                await taking
            raise
        feed.end()
        try:
            await asyncio.shield(taking)
        except asyncio.CancelledError:
            await asyncio.wait([taking])
            raise

    def _take(
        self,
        pieces: Iterable[bytes],
        layer: Travelling,
        name: ChainId,
        parent: ChainId | None,
        description: str,
    ) -> None:
        with self._blobs.lease() as lease:
            plain = compression.decompress(_checked(pieces, layer))
            self._blobs.ingest(plain, lease, expected=layer.diff_id)
            self._snapshots.apply(parent, self._blobs.chunks(layer.diff_id), layer.diff_id)
            size = self._snapshots.layers()[name].size
            made = self._made(layer, name, parent, size, description)
            self._records.put("", {}, [made])

    def _made(
        self, layer: Travelling, name: ChainId, parent: ChainId | None, size: int, said: str
    ) -> Layer:
        now = self._records.now()
        created = layer.created or now
        return Layer(name, parent, said, created, now, size=size, diff_id=layer.diff_id)


def _checked(pieces: Iterable[bytes], layer: Travelling) -> Iterator[bytes]:
    """Yield a blob; at its end it must have been what its descriptor says."""
    about = layer.descriptor
    sum_, size = hashlib.sha256(), 0
    for piece in pieces:
        size += len(piece)
        if size > about.size:
            break
        sum_.update(piece)
        yield piece
    if size != about.size or "sha256:" + sum_.hexdigest() != about.digest:
        raise WrongContent(f"the layer {about.digest} is not what was announced")
