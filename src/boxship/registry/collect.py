"""Collection: what nothing needs goes, also while the registry serves.

A plan says what would go and why; carrying it out looks again at each thing before it goes, while
nobody changes anything. Whatever is pushed, mounted, promised to a client or referred to by a new
manifest is touched by that, and what was touched lately stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from boxship.errors import Conflict
from boxship.lib.duration import human
from boxship.lib.units import human_size
from boxship.registry import layout
from boxship.registry.blobs import digests_below
from boxship.registry.documents import Manifest
from boxship.registry.errors import ManifestInvalid, ManifestUnknown, StorageUnavailable
from boxship.registry.manifests import repositories
from boxship.registry.names import Digest, Name, Tag
from boxship.registry.service import Service
from boxship.registry.storage.driver import Stat, walk

AT_ONCE: Final = 64  # removals while others wait


class Unreadable(Conflict):
    """A manifest cannot be read, so nobody can tell what it needs; nothing is removed."""

    def __init__(self, name: str, digest: str, reason: str) -> None:
        super().__init__(
            f"nothing was removed: the manifest {digest} in {name} cannot be read ({reason}), so it"
            " is unknown what it needs; 'boxship registry check' tells more"
        )


class Kind(StrEnum):
    MANIFEST = "manifest"
    LINK = "link"
    BLOB = "blob"
    LEFTOVER = "leftover"


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that may go. `watched` are the keys whose change keeps it."""

    kind: Kind
    what: str
    reason: str
    size: int
    keys: tuple[str, ...]
    watched: tuple[str, ...]
    name: Name | None = None
    digest: Digest | None = None

    def sentence(self, verb: str) -> str:
        size = f" ({human_size(self.size)})" if self.size else ""
        return f"{verb} {self.what}{size}: {self.reason}"


@dataclass(slots=True)
class Plan:
    """All that may go, and when that was worked out."""

    began: float
    grace: float
    removals: list[Removal] = field(default_factory=list)
    kept: int = 0  # blobs

    @property
    def freed(self) -> int:
        return sum(one.size for one in self.removals)


class Collector:
    """Plans and carries out collections of one registry."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._storage = service.storage

    def plan(self, grace: float, *, untagged: bool) -> Plan:
        """Say what nothing needs and nobody has touched for `grace` seconds; Unreadable."""
        plan = Plan(self._service.now(), grace)
        needed: set[Digest] = set()
        for name in repositories(self._storage):
            needed |= self._plan_repository(plan, name, untagged=untagged)
        for rest in walk(self._storage, layout.BLOBS, 3):
            algorithm, _, digits = rest.split("/")
            digest = Digest(f"{algorithm}:{digits}")
            if digest in needed:
                plan.kept += 1
            elif self._storage.stat(layout.blob(digest)) is None:
                folder = layout.blob_folder(digest)
                reason = "a push that was cut short has left it"
                removal = Removal(
                    Kind.LEFTOVER, folder, reason, 0, (folder,), (layout.blob(digest),)
                )
                plan.removals.append(removal)
            elif stat := self._old(plan, layout.blob(digest)):
                plan.removals.append(_blob(digest, stat, plan.began))
        for key, size in self._storage.leftovers(max(grace, 3600.0)):
            reason = "what was cut short has left it"
            plan.removals.append(Removal(Kind.LEFTOVER, key, reason, size, (key,), ()))
        return plan

    def carry_out(self, plan: Plan) -> Iterator[Removal]:
        """Remove what the plan names and what has not changed since; yield each as it goes."""
        for start in range(0, len(plan.removals), AT_ONCE):
            batch = plan.removals[start : start + AT_ONCE]
            with self._service.gate.alone():
                gone = [one for one in batch if self._remove(plan, one)]
            yield from gone
        self._remove_empty({one.name for one in plan.removals if one.name})

    # One repository

    def _plan_repository(self, plan: Plan, name: Name, *, untagged: bool) -> set[Digest]:
        """Plan what may go of a repository; return the blobs it needs."""
        manifests = dict(self._read(plan, name))
        kept = set(manifests)
        if untagged:
            kept = self._reachable(plan, name, manifests)
            for digest in sorted(set(manifests) - kept):
                plan.removals.append(self._unused(plan, name, digest))
        needed = set(kept)
        for digest in kept:
            manifest = manifests[digest]
            needed |= {one.target() for one in (*manifest.blobs(), *manifest.manifests())}
        for digest in self._service.blobs.all_of(name):
            link = layout.layer(name, digest)
            if digest not in needed and (stat := self._old(plan, link, layout.blob(digest))):
                reason = f"no manifest there refers to it; last used {_ago(stat, plan.began)}"
                what = f"blob {digest} from repository {name}"
                keys = (layout.above(link),)
                watched = (link, layout.blob(digest))
                plan.removals.append(Removal(Kind.LINK, what, reason, 0, keys, watched, name))
        return needed

    def _read(self, plan: Plan, name: Name) -> Iterator[tuple[Digest, Manifest]]:
        for digest in self._service.manifests.revisions(name):
            try:
                yield digest, self._service.manifests.load(name, digest).manifest
            except ManifestUnknown:
                key = layout.revision(name, digest)
                reason = "its content is not there any more"
                what = f"manifest {digest} from repository {name}"
                keys = (layout.above(key),)
                removal = Removal(Kind.MANIFEST, what, reason, 0, keys, (key,), name, digest)
                plan.removals.append(removal)
            except (ManifestInvalid, StorageUnavailable) as error:
                raise Unreadable(name, digest, str(error)) from error

    def _reachable(self, plan: Plan, name: Name, manifests: dict[Digest, Manifest]) -> set[Digest]:
        """Return the manifests that a tag leads to, or that are new, and what belongs to them."""
        found: set[Digest] = set()
        todo = [
            digest for digest in manifests if not self._old(plan, layout.revision(name, digest))
        ]
        for tag in self._service.manifests.all_tags(name):
            if (digest := self._service.manifests.tagged(name, Tag(tag))) is not None:
                todo.append(digest)
        belongs: dict[Digest, list[Digest]] = {}
        for digest, manifest in manifests.items():
            if (subject := manifest.subject) is not None:
                belongs.setdefault(subject, []).append(digest)
        while todo:
            digest = todo.pop()
            if digest in found or digest not in manifests:
                continue
            found.add(digest)
            todo += [one.target() for one in manifests[digest].manifests()]
            todo += belongs.get(digest, ())
        return found

    def _unused(self, plan: Plan, name: Name, digest: Digest) -> Removal:
        key = layout.revision(name, digest)
        stat = self._storage.stat(key)
        pushed = f"; pushed {_ago(stat, plan.began)}" if stat else ""
        reason = f"no tag leads to it, and it belongs to nothing that is kept{pushed}"
        what = f"manifest {digest} from repository {name}"
        return Removal(Kind.MANIFEST, what, reason, 0, (), (key,), name, digest)

    # Parts

    def _old(self, plan: Plan, *keys: str) -> Stat | None:
        """Return what is there, if nothing of it has been touched for long enough."""
        found: Stat | None = None
        for key in keys:
            stat = self._storage.stat(key)
            if stat is not None and (stat.changed > plan.began - plan.grace):
                return None
            if stat is not None and (found is None or stat.changed > found.changed):
                found = stat
        return found

    def _remove(self, plan: Plan, removal: Removal) -> bool:
        for key in removal.watched:
            stat = self._storage.stat(key)
            if stat is not None and stat.changed > min(plan.began - plan.grace, plan.began - 2.0):
                return False
        if removal.name is not None and removal.digest is not None:
            self._service.manifests.forget(removal.name, removal.digest)
        for key in removal.keys:
            self._storage.delete(key)
        return True

    def _remove_empty(self, names: Iterable[Name]) -> None:
        """Take away repositories in which there is nothing any more."""
        for name in names:
            with self._service.gate.alone():
                if self._is_empty(name):
                    self._storage.delete(layout.manifests(name))
                    self._storage.delete(layout.layers(name))

    def _is_empty(self, name: Name) -> bool:
        storage = self._storage
        return not (
            any(digests_below(storage, layout.revisions(name)))
            or any(digests_below(storage, layout.layers(name)))
            or self._service.manifests.all_tags(name)
        )


def _blob(digest: Digest, stat: Stat, now: float) -> Removal:
    reason = f"no manifest of any repository refers to it; last used {_ago(stat, now)}"
    keys = (layout.blob_folder(digest),)
    return Removal(Kind.BLOB, f"blob {digest}", reason, stat.size, keys, (layout.blob(digest),))


def _ago(stat: Stat, now: float) -> str:
    return f"{human(max(0.0, now - stat.changed)).lower()} ago"


def told(plan: Plan, removals: Iterable[Removal], *, dry: bool) -> Iterator[str]:
    """Yield what is said of a collection: a line for each thing, then the sum."""
    verb = "would remove" if dry else "removed"
    count, freed = 0, 0
    for one in removals:
        count += 1
        freed += one.size
        yield one.sentence(verb)
    would = "would free" if dry else "freed"
    yield f"{verb} {count} things, {would} {human_size(freed)}; {plan.kept} blobs are in use"
