"""Tokens that registries' token servers gave, by what they are for and who asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from boxship.distribution.challenges import Challenge

SHORTEST: Final = 60.0  # seconds that a token holds where its server does not say
LONGEST: Final = 3600.0
EARLY: Final = 10.0  # seconds before its end that a token is not used any more
KEPT: Final = 1024

Scopes = frozenset[str]


class TokenDocument(Struct):
    """A token server's answer, in both of its dialects."""

    token: str | None = None
    access_token: str | None = None
    refresh_token: str | None = None
    expires_in: float | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """What a token is good for: one origin, some scopes, one user."""

    origin: str
    user: str  # the fingerprint of their credentials
    scopes: Scopes


class Tokens:
    """The tokens of one engine, and how each origin wants to be logged in to."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[Key, tuple[str, float]] = {}
        self._challenges: dict[str, Challenge] = {}

    def get(self, key: Key) -> str | None:
        """Return a token that still holds."""
        found = self._kept.get(key)
        return found[0] if found and found[1] > self._clock() else None

    def put(self, key: Key, token: str, seconds: float | None) -> None:
        """Keep a token for as long as it holds."""
        holds = min(max(seconds or SHORTEST, 0.0), LONGEST)
        if len(self._kept) >= KEPT:
            now = self._clock()
            self._kept = {k: v for k, v in self._kept.items() if v[1] > now}
            if len(self._kept) >= KEPT:
                self._kept.clear()
        self._kept[key] = (token, self._clock() + max(holds - EARLY, holds / 2))

    def drop(self, key: Key) -> None:
        """Forget a token that was refused."""
        self._kept.pop(key, None)

    def challenge(self, origin: str) -> Challenge | None:
        """Return how an origin wanted to be logged in to the last time."""
        return self._challenges.get(origin)

    def learn(self, origin: str, challenge: Challenge) -> None:
        """Remember how an origin wants to be logged in to."""
        if len(self._challenges) >= KEPT:
            self._challenges.clear()
        self._challenges[origin] = challenge


def pull(repository: str) -> str:
    """Return the scope to read a repository."""
    return f"repository:{repository}:pull"


def push(repository: str) -> str:
    """Return the scope to read and write a repository."""
    return f"repository:{repository}:pull,push"


def joined(scopes: Iterable[str]) -> Scopes:
    """Return scopes as a set."""
    return frozenset(scopes)
