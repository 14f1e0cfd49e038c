"""Looking whether all is whole: content has its digest, links lead somewhere, manifests are served.

Repairing takes away what cannot be served anyway, so that it can be pushed again, and writes the
lists of referrers anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from boxship.registry import layout
from boxship.registry.errors import (
    DigestInvalid,
    ManifestInvalid,
    ManifestUnknown,
    StorageUnavailable,
)
from boxship.registry.manifests import repositories
from boxship.registry.names import Digest, Name, Tag
from boxship.registry.service import Service
from boxship.registry.storage.driver import NoSuchKey, walk

PIECE: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, and the keys that repairing deletes."""

    sentence: str
    keys: tuple[str, ...] = ()


class Checker:
    """Checks one registry."""

    def __init__(self, service: Service, is_cache: Callable[[Name], bool]) -> None:
        self._service = service
        self._is_cache = is_cache
        self._storage = service.storage
        self._bad: set[Digest] = set()

    def run(self, *, repair: bool = False) -> Iterator[Finding]:
        """Look at everything; yield what is wrong, after it was mended if that is asked for."""
        found = [*self._blobs(), *self._repositories()]
        for finding in found:
            if repair:
                with self._service.gate.alone():
                    for key in finding.keys:
                        self._storage.delete(key)
            yield finding
        if repair:
            for name in repositories(self._storage):
                self._service.manifests.index(name, again=True)

    def _blobs(self) -> Iterator[Finding]:
        for rest in walk(self._storage, layout.BLOBS, 3):
            algorithm, prefix, digits = rest.split("/")
            folder = f"{layout.BLOBS}/{rest}"
            try:
                digest = Digest.parse(f"{algorithm}:{digits}")
            except DigestInvalid:
                yield Finding(f"{folder} is not where a blob can be", (folder,))
                continue
            if prefix != digits[:2]:
                yield Finding(f"{folder} is not where this blob belongs", (folder,))
            elif problem := self._problem(digest):
                self._bad.add(digest)
                yield Finding(f"blob {digest} {problem}", (folder,))

    def _problem(self, digest: Digest) -> str:
        hasher = digest.hasher()
        try:
            content = self._storage.open(layout.blob(digest))
        except NoSuchKey:
            return ""  # a push was cut short; who refers to it is told of below
        try:
            offset = 0
            while piece := content.read(offset, PIECE):
                hasher.update(piece)
                offset += len(piece)
        finally:
            content.close()
        return "" if hasher.hexdigest() == digest.hex else "is damaged"

    def _repositories(self) -> Iterator[Finding]:
        for name in repositories(self._storage):
            lost = {digest for digest in self._service.blobs.all_of(name) if self._lost(digest)}
            for digest in sorted(lost):
                key = layout.above(layout.layer(name, digest))
                yield Finding(f"repository {name} has lost blob {digest}", (key,))
            yield from self._manifests(name)
            yield from self._tags(name)

    def _lost(self, digest: Digest) -> bool:
        return digest in self._bad or self._storage.stat(layout.blob(digest)) is None

    def _manifests(self, name: Name) -> Iterator[Finding]:
        indexed = self._storage.stat(layout.indexed(name)) is not None
        for digest in self._service.manifests.revisions(name):
            key = layout.above(layout.revision(name, digest))
            if self._lost(digest):
                yield Finding(f"repository {name} has lost manifest {digest}", (key,))
                continue
            try:
                manifest = self._service.manifests.load(name, digest).manifest
            except (ManifestInvalid, ManifestUnknown, StorageUnavailable) as error:
                yield Finding(f"manifest {digest} in {name} cannot be served: {error}", (key,))
                continue
            for one in () if self._is_cache(name) else manifest.blobs():
                if not one.urls and not self._has(name, one.target()):
                    yield Finding(f"manifest {digest} in {name} lacks blob {one.digest}")
            subject = manifest.subject
            if (
                indexed
                and subject
                and not self._storage.stat(layout.referrer(name, subject, digest))
            ):
                yield Finding(f"manifest {digest} in {name} is not listed with its subject")

    def _has(self, name: Name, digest: Digest) -> bool:
        return digest not in self._bad and self._service.blobs.has(name, digest)

    def _tags(self, name: Name) -> Iterator[Finding]:
        for tag in self._service.manifests.all_tags(name):
            digest = self._service.manifests.tagged(name, Tag(tag))
            key = layout.tag(name, tag)
            if digest is None:
                yield Finding(f"tag {name}:{tag} names nothing", (key,))
            elif self._storage.stat(layout.revision(name, digest)) is None or self._lost(digest):
                yield Finding(f"tag {name}:{tag} names {digest}, which is not there", (key,))
