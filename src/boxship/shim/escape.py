"""The keys that detach a terminal from a container without ending its program."""

from __future__ import annotations

from typing import NamedTuple


class Typed(NamedTuple):
    """What goes to the program, and whether the detach keys came after it."""

    text: bytes
    detached: bool


class DetachKeys:
    """Watches what is typed for a sequence of keys, however the input was cut.

    A key that may begin the sequence is held back until the next one decides: when that is not
    the sequence's, what was held goes to the program after all.
    """

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> Typed:
        """Take the next input; after a detach, the rest of it is nobody's."""
        if not self._keys:
            return Typed(data, False)
        if not self._matched and self._keys[0] not in data:
            return Typed(data, False)
        out = bytearray()
        for byte in data:
            if byte != self._keys[self._matched]:
                out += self._keys[: self._matched]
                self._matched = 0
            if byte != self._keys[self._matched]:
                out.append(byte)
                continue
            self._matched += 1
            if self._matched == len(self._keys):
                self._matched = 0
                return Typed(bytes(out), True)
        return Typed(bytes(out), False)

    def rest(self) -> bytes:
        """Return what was held back when no more input comes."""
        held, self._matched = self._keys[: self._matched], 0
        return held
