"""A layer on its way in: fetched, verified, stored and unpacked in one pass.

    registry --event loop--> Feed --thread--> ingest (digest) --> inflate --> unpack (diff ID)

Several layers are on their way at once; each is committed once the one below it is. Two pulls
that want the same layer share the work. A layer that does not become what it should leaves
nothing: no ingest, no blob, no folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from boxship.content.errors import WrongContent
from boxship.content.ingest import Ingest
from boxship.content.partial import Begun
from boxship.content.store import Blobs, Lease
from boxship.distribution.client import Registry
from boxship.distribution.errors import RegistryError, RegistryUnavailable, WrongBytes
from boxship.errors import BoxshipError
from boxship.image.sharing import Shared
from boxship.image.telling import LayerTeller, Tell, Told
from boxship.lib.feed import Feed
from boxship.lib.finishing import finished, in_thread, settled
from boxship.lib.groups import first_of
from boxship.lib.pipe import Abandoned
from boxship.snapshot.driver import ChainId
from boxship.snapshot.snapshots import Snapshots, Unpacked
from boxship.spec.digest import Digest
from boxship.spec.oci.image import Descriptor

THREADS: Final = 16


class Interrupted(Exception):
    """Whoever wanted the layer has left."""


WORTH_KEEPING: Final = (RegistryUnavailable, Interrupted)  # what has come until one of these


@dataclass(frozen=True, slots=True)
class Wanted:
    """One layer of an image: what to fetch, what it must unpack to, and what it lies on."""

    layer: Descriptor
    diff_id: Digest
    chain: ChainId
    below: Wanted | None

    @property
    def parent(self) -> ChainId | None:
        """The chain that it lies on."""
        return self.below.chain if self.below else None

    @property
    def key(self) -> tuple[ChainId, Digest]:
        """What two pulls that want the same of it agree on."""
        return self.chain, self.layer.digest


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to fetch from."""

    registry: Registry
    repository: str


class Layers:
    """The layers that are on their way into this engine; for one event loop."""

    def __init__(self, blobs: Blobs, snapshots: Snapshots, downloads: int) -> None:
        self._blobs = blobs
        self._snapshots = snapshots
        self._shared: Shared[tuple[ChainId, Digest], None] = Shared()
        self._tellers: dict[tuple[ChainId, Digest], LayerTeller] = {}
        self._turns: WeakValueDictionary[Digest, asyncio.Lock] = WeakValueDictionary()
        self._threads = ThreadPoolExecutor(THREADS, "pull")
        self.limit(downloads)

    def limit(self, downloads: int) -> None:
        """Fetch at most so many layers at once from now on."""
        self._slots = asyncio.Semaphore(max(1, downloads))

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)

    def is_here(self, wanted: Wanted) -> bool:
        """Whether a layer is stored and unpacked."""
        return self._blobs.has(wanted.layer.digest) and self._snapshots.has_layer(wanted.chain)

    async def bring(
        self, layers: Sequence[Wanted], origin: Origin, lease: Lease, tell: Tell
    ) -> None:
        """Have all these layers stored and unpacked; bottom first."""
        missing: list[Wanted] = []
        for wanted in layers:
            lease.hold(wanted.layer.digest)
            if self.is_here(wanted):
                tell(Told("Already exists", wanted.layer.digest.short, layer=True))
            else:
                tell(Told("Pulling fs layer", wanted.layer.digest.short, layer=True))
                missing.append(wanted)
        try:
            async with asyncio.TaskGroup() as tasks:
                for wanted in missing:
                    tasks.create_task(self._join(wanted, origin, tell))
        except BaseExceptionGroup as group:
            raise first_of(group) from None  # the group leads back to it

    async def _join(self, wanted: Wanted, origin: Origin, tell: Tell) -> None:
        """Wait for one layer, whoever began with it."""
        key = wanted.key
        teller = self._tellers.setdefault(key, LayerTeller(wanted.layer.digest.short))
        teller.listen(tell)
        try:
            await self._shared.join(key, lambda: self._one(wanted, origin, teller))
        finally:
            if teller.leave(tell) and self._tellers.get(key) is teller:
                del self._tellers[key]

    async def _one(self, wanted: Wanted, origin: Origin, teller: LayerTeller) -> None:
        """Fetch and unpack one layer, then put it on the one below."""
        with self._blobs.lease() as lease:
            lease.hold(wanted.layer.digest)
            ahead = await self._fetch_if_missing(wanted, origin, lease, teller)
            try:
                await self._wait_below(wanted, origin)
            except BaseException:
                if ahead is not None:
                    await self._discard(ahead)
                raise
            await self._put(wanted, ahead, teller)
        teller.say("Pull complete")

    async def _wait_below(self, wanted: Wanted, origin: Origin) -> None:
        below = wanted.below
        if below is None or self._snapshots.has_layer(below.chain):
            return
        teller = self._tellers.get(below.key) or LayerTeller(below.layer.digest.short)
        await self._shared.join(below.key, lambda: self._one(below, origin, teller), again=False)

    async def _fetch_if_missing(
        self, wanted: Wanted, origin: Origin, lease: Lease, teller: LayerTeller
    ) -> Unpacked | None:
        """Fetch a layer that is not stored; one that is in an image twice is fetched once."""
        digest = wanted.layer.digest
        if self._blobs.has(digest):
            return None
        turn = self._turns.get(digest)
        if turn is None:
            self._turns[digest] = turn = asyncio.Lock()
        if self._slots.locked() or turn.locked():
            teller.say("Waiting")
        async with turn, self._slots:
            if self._blobs.has(digest):
                return None
            return await self._fetch(wanted, origin, lease, teller)

    async def _put(self, wanted: Wanted, ahead: Unpacked | None, teller: LayerTeller) -> None:
        """Commit a layer; unpack it now where that could not be done on its way."""
        size = wanted.layer.size

        def work() -> None:
            nonlocal ahead
            if self._snapshots.has_layer(wanted.chain):
                if ahead is not None:
                    self._snapshots.discard(ahead)
                return
            if ahead is None:
                stored = self._blobs.chunks(wanted.layer.digest)
                pieces = _counted(stored, lambda at: teller.figure("Extracting", at, size))
                ahead = self._snapshots.unpack(pieces, wanted.parent, wanted.layer.digest)
            self._snapshots.commit(ahead, wanted.parent, wanted.diff_id)

        await finished(work, self._threads)

    async def _fetch(
        self, wanted: Wanted, origin: Origin, lease: Lease, teller: LayerTeller
    ) -> Unpacked | None:
        """Fetch a layer, or what is missing of it."""
        made: Unpacked | None = None
        try:
            async with in_thread(self._blobs.begun(wanted.layer.digest)) as begun:
                made = await self._fetch_begun(wanted, origin, lease, teller, begun)
        except BaseException:  # it may have come, and who wanted it left before `begun` was left
            if made is not None:
                await self._discard(made)
            raise
        return made

    async def _fetch_begun(
        self, wanted: Wanted, origin: Origin, lease: Lease, teller: LayerTeller, begun: Begun
    ) -> Unpacked | None:
        """Go on with what there is of a layer.

        If what came of it earlier does not fit, all of it is fetched; bad content from a mirror
        is fetched again, from the registry itself.
        """
        if begun.size:
            try:
                return await self._fetch_once(wanted, origin, lease, teller, begun)
            except RegistryUnavailable:
                raise
            except (WrongContent, RegistryError):
                begun.size = 0
        try:
            return await self._fetch_once(wanted, origin, lease, teller, begun)
        except (WrongContent, WrongBytes):
            if not await origin.registry.distrust_mirrors():
                raise
        return await self._fetch_once(wanted, origin, lease, teller, begun)

    async def _fetch_once(
        self, wanted: Wanted, origin: Origin, lease: Lease, teller: LayerTeller, begun: Begun
    ) -> Unpacked | None:
        about = wanted.layer
        unpacks = self._snapshots.independent and not self._snapshots.has_layer(wanted.chain)
        feed = Feed()
        loop = asyncio.get_running_loop()
        taking = loop.run_in_executor(
            self._threads, lambda: self._take(feed, about, begun, lease, teller, unpacks=unpacks)
        )
        at = begun.size
        try:
            async for piece in origin.registry.read_blob(
                origin.repository, about.digest, about.size, at, urls=_foreign(about)
            ):
                at += len(piece)
                teller.figure("Downloading", at, about.size)
                await feed.put(piece)
        except Abandoned:
            pass  # the thread has failed, and says why
        except BaseException as error:
            told = error if isinstance(error, BoxshipError) else Interrupted()
            feed.end(told, after=isinstance(told, WORTH_KEEPING))
            await self._unwanted(taking)
            raise
        feed.end()
        return await self._ended(taking)

    async def _unwanted(self, taking: asyncio.Future[Unpacked | None]) -> None:
        """Wait until the thread has ended, and throw away what it made."""
        await settled(taking)
        if taking.exception() is None and (made := taking.result()) is not None:
            await self._discard(made)

    async def _discard(self, made: Unpacked) -> None:
        await finished(lambda: self._snapshots.discard(made), self._threads)

    async def _ended(self, taking: asyncio.Future[Unpacked | None]) -> Unpacked | None:
        """Return what the thread made; if nobody waits any more, throw it away."""
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            await self._unwanted(taking)
            raise

    def _take(
        self,
        feed: Feed,
        about: Descriptor,
        begun: Begun,
        lease: Lease,
        teller: LayerTeller,
        *,
        unpacks: bool,
    ) -> Unpacked | None:
        """Store what is fed and, as it passes, unpack it; runs in a thread."""
        made: Unpacked | None = None
        with self._blobs.arriving(limit=about.size, begun=begun) as ingest:
            passing = _stored(feed, ingest)
            try:
                if unpacks:
                    made = self._snapshots.unpack(passing)
                for _ in passing:
                    pass  # what an archive has after its end belongs to the blob all the same
            except WORTH_KEEPING:
                ingest.keep = True
                raise
            except (BoxshipError, OSError) as error:
                self._blame(error, passing, ingest, about)
                raise
            try:
                teller.say("Verifying Checksum")
                self._blobs.commit(ingest, lease, expected=about.digest, size=about.size)
            except BaseException:
                if made is not None:
                    self._snapshots.discard(made)
                raise
        teller.say("Download complete")
        return made

    def _blame(
        self, error: Exception, passing: Iterator[bytes], ingest: Ingest, about: Descriptor
    ) -> None:
        """Where content could not be unpacked because it is not what was promised, say that."""
        if isinstance(error, WrongContent | RegistryError | OSError):
            return
        for _ in passing:
            pass
        if ingest.digest != about.digest:
            raise WrongContent(
                f"filesystem layer verification failed for digest {about.digest}"
            ) from error


def _foreign(about: Descriptor) -> Sequence[str]:
    """Return where else to look for a layer of a kind that registries need not have."""
    words = ("foreign", "nondistributable")
    return about.urls or () if any(word in about.media_type for word in words) else ()


def _stored(pieces: Iterable[bytes], ingest: Ingest) -> Iterator[bytes]:
    yield from ingest.earlier()
    for piece in pieces:
        ingest.write(piece)
        yield piece


def _counted(pieces: Iterable[bytes], tell: Callable[[int], None]) -> Iterator[bytes]:
    at = 0
    for piece in pieces:
        at += len(piece)
        tell(at)
        yield piece
