"""How far a blob's digest was at some places: what begins like it is not hashed from its start."""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_right
from collections import OrderedDict
from operator import itemgetter
from typing import Final

from boxship.spec.digest import Digest

EVERY: Final = 8 << 20
MOST: Final = 1024  # of one blob, some 400 bytes each
BLOBS: Final = 16


class States:
    """Those of one blob; safe to use from any thread."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._found: list[tuple[int, hashlib._Hash]] = []

    def note(self, at: int, whole: hashlib._Hash) -> None:
        """Keep a state, unless there is one near or a later one."""
        found = self._found
        with self._turn:
            if at >= (found[-1][0] if found else 0) + EVERY and len(found) < MOST:
                found.append((at, whole.copy()))

    def before(self, at: int) -> tuple[int, hashlib._Hash]:
        """Return the last state that is not after a place."""
        with self._turn:
            number = bisect_right(self._found, at, key=itemgetter(0))
            if not number:
                return 0, hashlib.sha256()
            place, whole = self._found[number - 1]
            return place, whole.copy()


class StatesOfBlobs:
    """Those of the blobs that were wanted last; they are true for as long as anybody likes.

    Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._known: OrderedDict[Digest, States] = OrderedDict()

    def of(self, digest: Digest) -> States:
        """Return what is known of a blob, to be added to."""
        with self._turn:
            states = self._known.get(digest) or States()
        self.keep(digest, states)
        return states

    def keep(self, digest: Digest, states: States) -> None:
        """Keep what was found out of a blob while it was made."""
        with self._turn:
            self._known[digest] = states
            self._known.move_to_end(digest)
            while len(self._known) > BLOBS:
                self._known.popitem(last=False)
