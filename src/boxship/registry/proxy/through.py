"""Manifests and blobs of names that belong to other registries.

A digest that is here is served from here. A tag is asked for again when it was last asked for some
time ago, and served as it was when the other registry does not answer. However many clients want
the same thing, it is fetched once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from boxship.distribution import errors as remote
from boxship.distribution.auth import Credentials
from boxship.distribution.client import Registry
from boxship.distribution.pool import Pool
from boxship.distribution.settings import Proxies, Settings
from boxship.errors import InvalidRequest
from boxship.registry.blobs import Blobs
from boxship.registry.errors import (
    BlobUnknown,
    Denied,
    ManifestUnknown,
    NameUnknown,
    RegistryError,
    StorageUnavailable,
)
from boxship.registry.manifests import Manifests, Stored
from boxship.registry.metrics import Metrics
from boxship.registry.names import Digest, Name, Reference, Tag
from boxship.registry.parts import Coming
from boxship.registry.proxy.download import Download
from boxship.registry.proxy.upstreams import Upstream, Upstreams
from boxship.registry.uploads import Uploads
from boxship.spec import digest as spec
from boxship.spec.oci.image import Descriptor

log = logging.getLogger(__name__)

ATTEMPTS: Final = 2
CONNECT: Final = 5.0  # seconds
DOWN_FOR: Final = 15.0  # seconds that a registry which did not answer is not asked for tags
REMEMBERED: Final = 50_000  # tags that were asked for
T = TypeVar("T")


class PullThrough:
    """Fetches what is not here."""

    def __init__(
        self,
        upstreams: Upstreams,
        parts: tuple[Manifests, Blobs, Uploads],
        metrics: Metrics,
        proxies: Proxies,
    ) -> None:
        self.upstreams = upstreams
        self._manifests, self._blobs, self._uploads = parts
        self._metrics = metrics
        insecure = tuple(one.host for one in upstreams if one.insecure)
        settings = Settings(
            insecure=insecure, attempts=ATTEMPTS, connect_timeout=CONNECT, proxies=proxies
        )
        self._pool = Pool(settings)
        self._flights: dict[object, asyncio.Task[Any]] = {}
        self._downloads: dict[tuple[Name, Digest], Download] = {}
        self._asked: OrderedDict[tuple[Name, Tag], float] = OrderedDict()
        self._down: dict[str, float] = {}
        self._work: set[asyncio.Task[None]] = set()
        metrics.declare("registry_proxy_hits_total", "What was here already.")
        metrics.declare("registry_proxy_misses_total", "What was fetched.")

    async def close(self) -> None:
        """Give up what is being fetched."""
        work = [*self._work, *self._flights.values()]
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await self._pool.close()

    # Manifests

    async def manifest(self, upstream: Upstream, name: Name, reference: Reference) -> Stored:
        """Return a manifest, from here or from there; ManifestUnknown."""
        local = await asyncio.to_thread(self._local, name, reference)
        if local is not None and self._is_fresh(upstream, name, reference):
            self._count("hits", "manifest")
            return local
        try:
            return await self._once(
                (name, reference), lambda: self._ask(upstream, name, reference, local)
            )
        except StorageUnavailable:
            if local is None:
                raise
            log.warning("%s is served as it was: %s does not answer", name, upstream.host)
            self._count("hits", "stale")
            return local

    async def _ask(
        self, upstream: Upstream, name: Name, reference: Reference, local: Stored | None
    ) -> Stored:
        registry = self._registry(upstream)
        there = upstream.remote(name)
        unknown = ManifestUnknown(name, reference)
        if local is not None:
            head = await self._told(upstream, registry.head_manifest(there, reference), unknown)
            if str(head.digest) == str(local.digest):
                self._remember(name, reference)
                self._count("hits", "manifest")
                return local
        found = await self._told(upstream, registry.resolve(there, reference), unknown)
        self._count("misses", "manifest")
        stored = await asyncio.to_thread(
            self._manifests.keep, name, reference, found.data, found.media_type
        )
        self._remember(name, reference)
        return stored

    def _local(self, name: Name, reference: Reference) -> Stored | None:
        try:
            return self._manifests.get(name, reference)
        except (ManifestUnknown, StorageUnavailable):
            return None

    def _is_fresh(self, upstream: Upstream, name: Name, reference: Reference) -> bool:
        if isinstance(reference, Digest):
            return True
        now = time.monotonic()
        if self._down.get(upstream.host, 0.0) > now:
            return True
        asked = self._asked.get((name, reference))
        return asked is not None and now - asked < upstream.revalidate

    def _remember(self, name: Name, reference: Reference) -> None:
        if isinstance(reference, Tag):
            self._asked[name, reference] = time.monotonic()
            self._asked.move_to_end((name, reference))
            while len(self._asked) > REMEMBERED:
                self._asked.popitem(last=False)

    # Blobs

    async def blob(self, upstream: Upstream, name: Name, digest: Digest) -> Coming | None:
        """Fetch a blob that is not here; None when it has become one meanwhile. BlobUnknown."""
        download = await self._once(
            ("blob", name, digest), lambda: self._begin(upstream, name, digest)
        )
        if download is None:
            return None
        return Coming(download.read, download.size)

    async def blob_size(self, upstream: Upstream, name: Name, digest: Digest) -> int:
        """Return the size of a blob that is not here; BlobUnknown."""
        if (download := self._downloads.get((name, digest))) is not None:
            return download.size
        return await self._size(upstream, name, digest)

    async def _begin(self, upstream: Upstream, name: Name, digest: Digest) -> Download | None:
        if (running := self._downloads.get((name, digest))) is not None:
            return running
        if await asyncio.to_thread(self._blobs.has, name, digest):
            return None
        size = await self._size(upstream, name, digest)
        self._count("misses", "blob")
        upload = await asyncio.to_thread(self._uploads.begin, name, digest.algorithm)
        download = Download(digest, size, upload, self._uploads)
        self._downloads[name, digest] = download
        task = asyncio.create_task(self._fetch(upstream, name, download), name=f"fetch {digest}")
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return download

    async def _fetch(self, upstream: Upstream, name: Name, download: Download) -> None:
        content = self._registry(upstream).read_blob(
            upstream.remote(name), _known(download.digest), download.size
        )
        try:
            await download.fill(content)
        except (remote.RegistryError, RegistryError, OSError) as error:
            log.warning("%s from %s: %s", download.digest, upstream.host, error)
        finally:
            del self._downloads[name, download.digest]

    async def _size(self, upstream: Upstream, name: Name, digest: Digest) -> int:
        registry = self._registry(upstream)
        size = await self._told(
            upstream,
            registry.blob_size(upstream.remote(name), _known(digest)),
            BlobUnknown(digest),
        )
        if size is None:
            raise BlobUnknown(digest)
        if size < 0:
            raise StorageUnavailable(f"{upstream.host} does not say how large {digest} is")
        return size

    # Lists

    async def tags(self, upstream: Upstream, name: Name) -> list[str]:
        """Return the tags there are, as far as the other registry tells, else those here."""
        registry = self._registry(upstream)
        asked = registry.tags(upstream.remote(name))
        try:
            return sorted(await self._told(upstream, asked, NameUnknown(name)))
        except StorageUnavailable:
            return await asyncio.to_thread(self._manifests.tags, name)

    async def referrers(
        self, upstream: Upstream, name: Name, subject: Digest, kind: str
    ) -> list[Descriptor] | None:
        """Return what refers to a manifest there; None when that registry does not answer."""
        registry = self._registry(upstream)
        there = upstream.remote(name)
        asked = registry.referrers(there, _known(subject), kind)
        try:
            return await self._told(upstream, asked, NameUnknown(name))
        except NameUnknown:
            return []
        except StorageUnavailable:
            return None

    # Parts

    def _registry(self, upstream: Upstream) -> Registry:
        login = Credentials(upstream.username, upstream.password) if upstream.username else None
        return Registry(upstream.host, login, self._pool)

    async def _told(self, upstream: Upstream, asked: Awaitable[T], unknown: RegistryError) -> T:
        """Ask, and say in our words what went wrong."""
        try:
            return await asked
        except remote.NotThere as error:
            raise unknown from error
        except (remote.LoginNeeded, remote.Denied) as error:
            raise Denied(f"{upstream.host} does not let this registry have it") from error
        except remote.RegistryUnavailable as error:
            self._down[upstream.host] = time.monotonic() + DOWN_FOR
            raise StorageUnavailable(f"{upstream.host} does not answer: {error}") from error
        except remote.RegistryError as error:
            raise StorageUnavailable(f"{upstream.host}: {error}") from error

    async def _once(self, key: object, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something once for all who want it at the same time."""
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(make())
            self._flights[key] = flight
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        found: T = await asyncio.shield(flight)
        return found

    def _count(self, what: str, kind: str) -> None:
        self._metrics.count(f"registry_proxy_{what}_total", type=kind)


def _known(digest: Digest) -> spec.Digest:
    """Return a digest as the client has it, which knows one algorithm; BlobUnknown for others."""
    try:
        return spec.Digest.parse(digest)
    except InvalidRequest as error:
        raise BlobUnknown(digest) from error
