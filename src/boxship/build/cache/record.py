"""What the builder keeps so that it need not do it again: results and folders."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest


class Kind(Enum):
    """What a record is of, in BuildKit's words."""

    REGULAR = "regular"
    LOCAL = "source.local"
    GIT = "source.git.checkout"
    HTTP = "source.http"
    CACHE_MOUNT = "exec.cachemount"
    FRONTEND = "frontend"
    INTERNAL = "internal"


@dataclass(slots=True)
class Layer:
    """One layer that a step has made; times in nanoseconds.

    `chain` is its name in the snapshot store: of its own until its digest is known. `diff_id` is
    then the digest of its tar, whose bytes are in the content store too.
    """

    chain: ChainId
    parent: ChainId | None
    description: str
    created: int
    used: int
    uses: int = 1
    size: int = 0
    diff_id: Digest | None = None


@dataclass(slots=True)
class Folder:
    """A folder that outlives the step it was made for: a cache mount, a client's context, ..."""

    id: str
    kind: Kind
    key: str
    description: str
    created: int
    used: int
    uses: int = 1
    size: int = 0
    note: str = ""  # of whoever made it: an ETag, a commit


@dataclass(frozen=True, slots=True)
class Usage:
    """One line of `docker system df -v` and `buildx du`."""

    id: str
    parents: tuple[str, ...]
    kind: Kind
    description: str
    created: int
    used: int
    uses: int
    size: int
    shared: bool
    in_use: bool
    mutable: bool
