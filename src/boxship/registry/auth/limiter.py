"""Slowing down whoever guesses passwords."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from boxship.registry.errors import TooManyRequests

FREE: Final = 5  # failures in a row before one has to wait
LONGEST: Final = 300.0  # seconds to wait
FORGOTTEN: Final = 900.0  # seconds after which failures do not count any more
REMEMBERED: Final = 10_000


@dataclass(slots=True)
class Failures:
    """What somebody has got wrong."""

    count: int
    last: float


class Limiter:
    """Counts failed logins by address and by name; each further one costs twice the wait."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: OrderedDict[tuple[str, str], Failures] = OrderedDict()

    def check(self, peer: str, user: str) -> None:
        """TooManyRequests when this address has to wait before it tries this name again."""
        for key in self._keys(peer, user):
            if (found := self._failed.get(key)) is None:
                continue
            wait = found.last + _penalty(found.count - self._free(key)) - self._clock()
            if wait > 0:
                raise TooManyRequests("too many failed logins", int(wait) + 1)

    def failed(self, peer: str, user: str) -> None:
        """Count a failure."""
        now = self._clock()
        for key in self._keys(peer, user):
            found = self._failed.setdefault(key, Failures(0, now))
            if now - found.last > FORGOTTEN:
                found.count = 0
            found.count += 1
            found.last = now
            self._failed.move_to_end(key)
        while len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)

    def succeeded(self, peer: str, user: str) -> None:
        """Forget the failures of this address with this name."""
        self._failed.pop((peer, user), None)

    def _keys(self, peer: str, user: str) -> tuple[tuple[str, str], tuple[str, str]]:
        return (peer, user), (peer, "")

    def _free(self, key: tuple[str, str]) -> int:
        return FREE if key[1] else FREE * 6  # many people may share one address


def _penalty(over: int) -> float:
    return 0.0 if over < 0 else min(LONGEST, 2.0 ** min(over, 10))
