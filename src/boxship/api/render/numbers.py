"""The numbers that the classic builder's steps are shown with."""

from __future__ import annotations

from typing import Final

KEPT: Final = 10_000


class Numbers:
    """The numbers that steps were given before, so that a cached one has the same again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def get(self, key: tuple[str, str]) -> str | None:
        """Return what the step after a step was called."""
        return self._known.get(key)

    def keep(self, key: tuple[str, str], number: str) -> None:
        """Note what a step is called; the oldest are forgotten."""
        self._known.pop(key, None)
        self._known[key] = number
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
