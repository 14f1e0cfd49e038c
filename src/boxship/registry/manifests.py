"""Manifests of repositories, the tags that name them, and what refers to them.

What a manifest needs is there before it, and a manifest before the tag that names it; so a crash
between two steps leaves something that collection removes, and nothing that points nowhere.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.lib.gate import Gate
from boxship.registry import documents, layout
from boxship.registry.blobs import Blobs, digests_below
from boxship.registry.errors import (
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameUnknown,
    StorageUnavailable,
)
from boxship.registry.names import Digest, Name, Reference, Tag
from boxship.registry.storage.driver import NoSuchKey, Storage

CACHED: Final = 32 << 20  # bytes of manifests in memory


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest as it is kept."""

    digest: Digest
    data: bytes
    manifest: documents.Manifest

    @property
    def media_type(self) -> str:
        return self.manifest.media_type


@dataclass(frozen=True, slots=True)
class Rules:
    """What a manifest must fulfil, beside being one."""

    blobs: bool = True  # its blobs are in the repository
    children: bool = True  # so are an index's manifests
    platforms: frozenset[tuple[str, str]] | None = None  # or only those for these
    urls_allowed: tuple[str, ...] = ()  # patterns for what a layer's address must be
    urls_denied: tuple[str, ...] = ()  # and must not be

    def check_urls(self, manifest: documents.Manifest) -> None:
        """ManifestInvalid for a layer that lies where the owner does not want it."""
        for one in manifest.blobs():
            for url in one.urls or ():
                allowed = not self.urls_allowed or _any(self.urls_allowed, url)
                if not allowed or _any(self.urls_denied, url):
                    raise ManifestInvalid(f"manifest: a layer may not lie at {url[:200]}")

    def wants(self, child: documents.Descriptor) -> bool:
        """Whether a manifest that an index lists must be here."""
        if self.platforms is None or child.platform is None:
            return self.children
        return (child.platform.os, child.platform.architecture) in self.platforms


class Manifests:
    """The manifests of all repositories. `gate` is closed while collection deletes."""

    def __init__(self, storage: Storage, gate: Gate, blobs: Blobs, rules: Rules) -> None:
        self._storage = storage
        self._gate = gate
        self._blobs = blobs
        self._rules = rules
        self._cache: OrderedDict[Digest, Stored] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()

    # Reading

    def resolve(self, name: Name, reference: Reference) -> Digest:
        """Return the digest that a reference stands for; ManifestUnknown."""
        if isinstance(reference, Tag):
            digest = self.tagged(name, reference)
            if digest is None:
                raise ManifestUnknown(name, reference)
        else:
            digest = reference
        if self._storage.stat(layout.revision(name, digest)) is None:
            raise ManifestUnknown(name, reference)
        return digest

    def tagged(self, name: Name, tag: Tag) -> Digest | None:
        """Return what a tag names."""
        try:
            link = self._storage.read(layout.current(name, tag))
            return Digest.parse(link.decode("ascii", "replace").strip())
        except (NoSuchKey, DigestInvalid):
            return None

    def get(self, name: Name, reference: Reference) -> Stored:
        """Return a manifest; ManifestUnknown."""
        return self.load(name, self.resolve(name, reference))

    def load(self, name: Name, digest: Digest) -> Stored:
        """Return a manifest that a repository has; its bytes are checked when they are read."""
        if (stored := self._cache.get(digest)) is not None:
            return stored
        try:
            data = self._storage.read(layout.blob(digest))
        except NoSuchKey:
            raise ManifestUnknown(name, digest) from None
        if Digest.of(data, digest.algorithm) != digest:
            raise StorageUnavailable(f"the manifest {digest} is damaged in the storage")
        stored = Stored(digest, data, documents.read(data))
        self._keep(stored)
        return stored

    def tags(self, name: Name) -> list[str]:
        """Return the sorted tags; NameUnknown."""
        found = self.all_tags(name)
        if not found and not self.knows(name):
            raise NameUnknown(name)
        return found

    def all_tags(self, name: Name) -> list[str]:
        """Return the sorted tags, none where there is no repository."""
        found = self._storage.names(layout.tags(name))
        return [tag for tag in found if self._storage.stat(layout.current(name, tag))]

    def knows(self, name: Name) -> bool:
        """Whether there is such a repository."""
        storage = self._storage
        return bool(storage.names(layout.manifests(name)) or storage.names(layout.layers(name)))

    def revisions(self, name: Name) -> Iterator[Digest]:
        """Yield the manifests of a repository."""
        return digests_below(self._storage, layout.revisions(name))

    # Changing

    def put(self, name: Name, reference: Reference, data: bytes, said: str) -> Stored:
        """Keep a manifest, and have a tag name it."""
        algorithm = "sha256" if isinstance(reference, Tag) else reference.algorithm
        digest = Digest.of(data, algorithm)
        if isinstance(reference, Digest) and digest != reference:
            raise DigestInvalid(
                "provided digest did not match uploaded content",
                {"provided": reference, "found": digest},
            )
        stored = Stored(digest, data, documents.read(data, said))
        with self._gate.together():
            self._check_references(name, stored.manifest)
            self._write(name, stored)
            if isinstance(reference, Tag):
                self._point(name, reference, digest)
        self._keep(stored)
        return stored

    def keep(self, name: Name, reference: Reference, data: bytes, said: str) -> Stored:
        """Keep a manifest of another registry: what it needs comes when somebody wants it."""
        algorithm = "sha256" if isinstance(reference, Tag) else reference.algorithm
        stored = Stored(Digest.of(data, algorithm), data, documents.read(data, said))
        with self._gate.together():
            self._write(name, stored)
            if isinstance(reference, Tag):
                self._point(name, reference, stored.digest)
        self._keep(stored)
        return stored

    def mark_used(self, name: Name, digest: Digest, now: float, stale: float) -> None:
        """Remember that somebody has asked for a manifest, if that was not known lately."""
        stat = self._storage.stat(layout.revision(name, digest))
        if stat is not None and now - stat.changed > stale:
            self._storage.touch(layout.revision(name, digest))

    def point(self, name: Name, tag: Tag, digest: Digest) -> None:
        """Have a tag name a manifest that the repository has; ManifestUnknown."""
        with self._gate.together():
            self.resolve(name, digest)
            self._storage.touch(layout.revision(name, digest))
            self._point(name, tag, digest)

    def untag(self, name: Name, tag: Tag) -> Digest:
        """Take a tag away; ManifestUnknown. What it named stays."""
        digest = self.tagged(name, tag)
        if digest is None:
            raise ManifestUnknown(name, tag)
        self._storage.delete(layout.tag(name, tag))
        return digest

    def remove(self, name: Name, digest: Digest) -> list[str]:
        """Take a manifest away and the tags that name it, which are returned."""
        self.resolve(name, digest)
        with self._gate.together():
            tags = [tag for tag in self.all_tags(name) if self.tagged(name, Tag(tag)) == digest]
            for tag in tags:
                self._storage.delete(layout.tag(name, tag))
            self.forget(name, digest)
        return tags

    def forget(self, name: Name, digest: Digest) -> None:
        """Take away a manifest that no tag names."""
        subject: Digest | None = None
        try:
            subject = self.load(name, digest).manifest.subject
        except (ManifestUnknown, ManifestInvalid, StorageUnavailable):
            pass  # damaged or lost: it is in no list of referrers that would be shown
        if subject is not None:
            self._storage.delete(layout.above(layout.referrer(name, subject, digest)))
        self._storage.delete(layout.above(layout.revision(name, digest)))

    # Referrers

    def referrers(self, name: Name, subject: Digest) -> list[Stored]:
        """Return the manifests of a repository that have `subject` as their subject."""
        self.index(name)
        found: list[Stored] = []
        for digest in digests_below(self._storage, layout.referrers(name, subject)):
            try:
                found.append(self.get(name, digest))
            except ManifestUnknown:
                continue  # removed a moment ago
        return found

    def index(self, name: Name, *, again: bool = False) -> None:
        """Read a repository that another server has written, for what refers to what."""
        if not again and self._storage.stat(layout.indexed(name)) is not None:
            return
        if not self.knows(name):
            return
        for digest in self.revisions(name):
            try:
                subject = self.load(name, digest).manifest.subject
            except (ManifestUnknown, ManifestInvalid, StorageUnavailable):
                continue
            if subject is not None:
                self._storage.write(layout.referrer(name, subject, digest), digest.encode())
        self._storage.write(layout.indexed(name), b"1\n")

    # Parts

    def _check_references(self, name: Name, manifest: documents.Manifest) -> None:
        self._rules.check_urls(manifest)
        missing: list[str] = []
        for one in manifest.blobs() if self._rules.blobs else ():
            digest = one.target()
            if self._blobs.has(name, digest):
                self._storage.touch(layout.blob(digest))
            elif not one.urls:
                missing.append(digest)
        for one in filter(self._rules.wants, manifest.manifests()):
            digest = one.target()
            if self._storage.stat(layout.revision(name, digest)) is not None:
                self._storage.touch(layout.blob(digest))
                self._storage.touch(layout.revision(name, digest))
            elif not self._blobs.has(name, digest):
                missing.append(digest)
        if missing:
            raise ManifestBlobUnknown(missing)

    def _write(self, name: Name, stored: Stored) -> None:
        storage, digest = self._storage, stored.digest
        there = storage.stat(layout.blob(digest))
        if there is None or there.size != len(stored.data):
            storage.write(layout.blob(digest), stored.data)
        else:
            storage.touch(layout.blob(digest))
        if not storage.names(layout.manifests(name)):  # nothing here was written by others
            storage.write(layout.indexed(name), b"1\n")
        if (subject := stored.manifest.subject) is not None:
            storage.write(layout.referrer(name, subject, digest), digest.encode())
        revision = layout.revision(name, digest)
        if storage.stat(revision) is None:
            storage.write(revision, digest.encode())
        else:
            storage.touch(revision)

    def _point(self, name: Name, tag: Tag, digest: Digest) -> None:
        history = layout.tag_history(name, tag, digest)
        if self._storage.stat(history) is None:
            self._storage.write(history, digest.encode())
        self._storage.write(layout.current(name, tag), digest.encode())

    def _keep(self, stored: Stored) -> None:
        with self._lock:
            if stored.digest in self._cache:
                return
            self._cache[stored.digest] = stored
            self._cached += len(stored.data)
            while self._cached > CACHED and len(self._cache) > 1:
                _, old = self._cache.popitem(last=False)
                self._cached -= len(old.data)


def _any(patterns: Sequence[str], text: str) -> bool:
    return any(re.search(pattern, text) for pattern in patterns)


def repositories(storage: Storage, below: str = "") -> Iterator[Name]:
    """Yield every repository, in the order of their names' parts."""
    children = storage.names(f"{layout.REPOSITORIES}/{below}" if below else layout.REPOSITORIES)
    if below and ("_layers" in children or "_manifests" in children):
        yield Name(below)
    for child in children:
        if child[0] != "_":
            yield from repositories(storage, f"{below}/{child}" if below else child)
