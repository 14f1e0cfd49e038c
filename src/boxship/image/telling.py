"""What a pull or a push says while it goes on, as values; the API puts them into its words."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from boxship.spec.digest import Digest
from boxship.spec.oci.image import Descriptor

EVERY: Final = 0.1  # seconds between two figures of one layer


@dataclass(frozen=True, slots=True)
class Told:
    """One line: of a layer where there is an `id`, with a figure where there is a `total`."""

    status: str
    id: str = ""
    current: int = 0
    total: int = 0
    layer: bool = False


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was pushed: a tag, and what it points to now."""

    tag: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class InsteadOfIndex:
    """Of an index, only one manifest is here, and so only that is pushed."""

    index: Descriptor
    manifest: Descriptor


Telling = Told | Pushed | InsteadOfIndex
Tell = Callable[[Telling], None]  # may be called from any thread


class LayerTeller:
    """Tells of one layer to all who wait for it; later ones hear first how far it is."""

    def __init__(self, id: str) -> None:
        self._id = id
        self._listeners: list[Tell] = []
        self._last: Told | None = None
        self._told_at = 0.0
        self._turn = threading.Lock()

    def listen(self, tell: Tell) -> None:
        """Let `tell` hear of this layer too."""
        with self._turn:
            self._listeners.append(tell)
            if self._last is not None:
                tell(self._last)

    def leave(self, tell: Tell) -> bool:
        """Let `tell` hear no more; say whether that was the last."""
        with self._turn:
            self._listeners.remove(tell)
            return not self._listeners

    def say(self, status: str) -> None:
        """Tell of the next thing that is done with it."""
        self._send(Told(status, self._id, layer=True))

    def figure(self, status: str, current: int, total: int) -> None:
        """Tell how far it is, now and then."""
        now = time.monotonic()
        if now - self._told_at >= EVERY or current >= total:
            self._told_at = now
            self._send(Told(status, self._id, current, total, layer=True))

    def _send(self, told: Told) -> None:
        with self._turn:
            self._last = told
            for tell in self._listeners:
                tell(told)
