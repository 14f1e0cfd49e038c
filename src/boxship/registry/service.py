"""One registry: its parts, what its owner allows, and on which threads things happen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from boxship.lib.gate import Gate
from boxship.registry.blobs import STALE, Blobs
from boxship.registry.errors import BlobUnknown
from boxship.registry.events import Events
from boxship.registry.manifests import Manifests, Rules, Stored
from boxship.registry.names import Digest, Name, Reference
from boxship.registry.parts import Coming, Part
from boxship.registry.storage.driver import Storage
from boxship.registry.uploads import Clock, Uploads

if TYPE_CHECKING:
    from boxship.registry.proxy.through import PullThrough
    from boxship.registry.proxy.upstreams import Upstream

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Policy:
    """What the owner allows."""

    read_only: bool = False
    delete: bool = False
    redirect: bool = True
    most_names: int = 1000  # in one page of the catalog
    most_tags: int = 0  # in one page of tags; 0: all at once unless asked
    prefix: str = ""  # of all paths
    host: str = ""  # how clients call us; "": as they do
    rules: Rules = field(default_factory=Rules)


class Service:
    """What the routes work with."""

    def __init__(self, storage: Storage, policy: Policy, now: Clock = time.time) -> None:
        self.storage = storage
        self.policy = policy
        self.now = now
        self.gate = Gate()
        self.blobs = Blobs(storage, self.gate)
        self.uploads = Uploads(storage.spool(), self.blobs, now)
        self.manifests = Manifests(storage, self.gate, self.blobs, policy.rules)
        self.events = Events()

        self.through: PullThrough | None = None

    def local_name(self, name: Name, namespace: str) -> Name:
        """Return what a repository is called here that is asked for in a namespace."""
        return self.through.upstreams.local(name, namespace) if self.through else name

    def upstream_of(self, name: Name) -> Upstream | None:
        """Return the registry that a repository is fetched from, if it is."""
        return self.through.upstreams.of(name) if self.through else None

    async def find_manifest(self, name: Name, reference: Reference) -> Stored:
        """Return a manifest, fetched if need be; ManifestUnknown."""
        if self.through is None or (upstream := self.upstream_of(name)) is None:
            return await self.look(self.manifests.get, name, reference)
        stored = await self.through.manifest(upstream, name, reference)
        await self.look(self.manifests.mark_used, name, stored.digest, self.now(), STALE)
        return stored

    async def find_blob(self, name: Name, digest: Digest) -> Part | Coming:
        """Open a blob, or what is being fetched; BlobUnknown.

        Who asks may be about to push what refers to it.
        """
        while True:
            try:
                return await self.look(self._open_blob, name, digest)
            except BlobUnknown:
                if self.through is None or (upstream := self.upstream_of(name)) is None:
                    raise
            coming = await self.through.blob(upstream, name, digest)
            if coming is not None:
                return coming

    async def find_size(self, name: Name, digest: Digest) -> int:
        """Return the size of a blob, here or where it is fetched from; BlobUnknown."""
        try:
            stat = await self.look(self.blobs.promise, name, digest, self.now())
        except BlobUnknown:
            if self.through is None or (upstream := self.upstream_of(name)) is None:
                raise
            return await self.through.blob_size(upstream, name, digest)
        return stat.size

    async def find_tags(self, name: Name) -> list[str]:
        """Return the sorted tags of a repository; NameUnknown."""
        if self.through is None or (upstream := self.upstream_of(name)) is None:
            return await self.look(self.manifests.tags, name)
        return await self.through.tags(upstream, name)

    def _open_blob(self, name: Name, digest: Digest) -> Part:
        self.blobs.promise(name, digest, self.now())
        content = self.blobs.open(name, digest)
        return Part(content, 0, content.size)

    async def look(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the storage something small: at once where that is quick, else in a thread."""
        if self.storage.local:
            return question(*args, **kwargs)
        return await asyncio.to_thread(question, *args, **kwargs)

    async def work(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something that may take long, in a thread."""
        return await asyncio.to_thread(action, *args, **kwargs)
