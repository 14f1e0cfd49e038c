"""Keeping a cache bounded: images that nobody has asked for go, the oldest first.

What only they needed goes with the next collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from boxship.lib.duration import human
from boxship.lib.units import human_size
from boxship.registry import layout
from boxship.registry.errors import ManifestInvalid, ManifestUnknown, StorageUnavailable
from boxship.registry.manifests import repositories
from boxship.registry.names import Digest, Name
from boxship.registry.proxy.upstreams import Upstreams
from boxship.registry.service import Service


@dataclass(frozen=True, slots=True)
class Cached:
    """A manifest that was fetched, when it was last wanted, and the blobs it needs."""

    name: Name
    digest: Digest
    used: float
    blobs: frozenset[tuple[Digest, int]]


@dataclass(frozen=True, slots=True)
class Evicted:
    """A manifest that may go."""

    cached: Cached
    reason: str

    def sentence(self, verb: str) -> str:
        return f"{verb} {self.cached.name}@{self.cached.digest}: {self.reason}"


def evicted(cached: Sequence[Cached], now: float, ttl: float, most: int) -> Iterator[Evicted]:
    """Say what may go: what was not wanted for `ttl` seconds, and the oldest beyond `most` bytes.

    A blob that two manifests need counts once, and its room is free only when both are gone.
    """
    uses: dict[Digest, int] = {}
    sizes: dict[Digest, int] = {}
    for one in cached:
        for digest, size in one.blobs:
            uses[digest] = uses.get(digest, 0) + 1
            sizes[digest] = size
    total = sum(sizes.values())
    for one in sorted(cached, key=lambda one: (one.used, one.digest)):
        idle = now - one.used
        if ttl and idle > ttl:
            reason = f"nobody has asked for it for {human(idle).lower()}"
        elif most and total > most:
            reason = f"the cache has {human_size(total)}, and {human_size(most)} may be kept"
        else:
            continue
        for digest, _ in one.blobs:
            uses[digest] -= 1
            if not uses[digest]:
                total -= sizes[digest]
        yield Evicted(one, reason)


class Evictor:
    """Looks through one registry's cache."""

    def __init__(self, service: Service, upstreams: Upstreams) -> None:
        self._service = service
        self._upstreams = upstreams

    def plan(self, ttl: float, most: int) -> list[Evicted]:
        """Say what may go."""
        return list(evicted(list(self._cached()), self._service.now(), ttl, most))

    def carry_out(self, plan: Sequence[Evicted]) -> Iterator[Evicted]:
        """Remove what has not been wanted since; yield each as it goes."""
        for one in plan:
            cached = one.cached
            stat = self._service.storage.stat(layout.revision(cached.name, cached.digest))
            if stat is None or stat.changed > cached.used:
                continue
            try:
                self._service.manifests.remove(cached.name, cached.digest)
            except ManifestUnknown:
                continue
            yield one

    def _cached(self) -> Iterator[Cached]:
        service = self._service
        for name in repositories(service.storage):
            if self._upstreams.of(name) is None:
                continue
            for digest in service.manifests.revisions(name):
                stat = service.storage.stat(layout.revision(name, digest))
                if stat is not None:
                    yield Cached(name, digest, stat.changed, self._blobs(name, digest))

    def _blobs(self, name: Name, digest: Digest) -> frozenset[tuple[Digest, int]]:
        try:
            stored = self._service.manifests.load(name, digest)
        except (ManifestUnknown, ManifestInvalid, StorageUnavailable):
            return frozenset()
        found = {(digest, len(stored.data))}
        for one in stored.manifest.blobs():
            if self._service.blobs.has(name, one.target()):
                found.add((one.target(), one.size))
        return frozenset(found)
