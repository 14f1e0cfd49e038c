"""Where a registry may have a blob already, so that it is mounted rather than sent.

Known are the repositories in which a blob was seen since the daemon started, and those that an
image with it is named for. A registry that does not have it there after all just asks for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from boxship.image.images import Images
from boxship.spec.digest import Digest
from boxship.spec.reference import Reference

PLACES: Final = 8192  # blobs of which is remembered where they are
MOUNTS: Final = 4  # repositories remembered for one blob


class Places:
    """In which repositories of a registry a blob was seen, so that it can be mounted."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._seen: OrderedDict[tuple[str, Digest], list[str]] = OrderedDict()

    def saw(self, host: str, repository: str, digest: Digest) -> None:
        """A registry has a blob in a repository."""
        with self._turn:
            known = self._seen.setdefault((host, digest), [])
            if repository not in known:
                known.insert(0, repository)
                del known[MOUNTS:]
            self._seen.move_to_end((host, digest))
            if len(self._seen) > PLACES:
                self._seen.popitem(last=False)

    def of(self, host: str, digest: Digest) -> Sequence[str]:
        """Return where a blob is, the newest first."""
        with self._turn:
            return tuple(self._seen.get((host, digest), ()))

    def elsewhere(
        self, images: Images, wanted: Reference, digests: Iterable[Digest]
    ) -> Mapping[Digest, str]:
        """Return, for each blob, another repository of the registry that may have it."""
        found: dict[Digest, str] = {}
        for digest in digests:
            others = [path for path in self.of(wanted.host, digest) if path != wanted.path]
            if others:
                found[digest] = others[0]
        for image in images.list():
            names = map(Reference.parse, image.names)
            paths = [n.path for n in names if n.host == wanted.host and n.path != wanted.path]
            if paths:
                for digest in image.content:
                    found.setdefault(digest, paths[0])
        return found
