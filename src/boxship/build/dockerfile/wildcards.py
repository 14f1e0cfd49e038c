"""Patterns of a shell's substitutions: `*` and `?`, without brackets, in bounded time.

A pattern is matched by all its states at once, one bit each, so that no pattern takes longer
than its length times the text's. A star or a question mark stands for no newline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

STAR: Final = None
ANY: Final = ""


class InvalidWildcard(ValueError):
    """The pattern is not one."""


class Wildcard:
    """A pattern, ready to be matched."""

    def __init__(self, pattern: str) -> None:
        self._steps = _parse(pattern)
        self._forward = _Machine(self._steps)
        self._backward: _Machine | None = None

    def prefix(self, text: str, longest: bool) -> int | None:
        """Return where the shortest or longest match from the beginning ends."""
        return self._forward.end(text, 0, longest)

    def suffix(self, text: str, longest: bool) -> int | None:
        """Return where the shortest or longest match up to the end begins."""
        taken = self._reversed().end(text[::-1], 0, longest)
        return None if taken is None else len(text) - taken

    def replace(self, text: str, word: str, *, once: bool, limit: int) -> str:
        """Put `word` in place of the first or of every match; at most `limit` characters of it."""
        starts = self._starts(text)
        out: list[str] = []
        at = done = made = 0
        touched = -1  # where the match before ended: an empty one may not follow at once
        while at <= len(text):
            if not starts[at] or (end := self._forward.end(text, at, True)) is None:
                at += 1
                continue
            if end == at and at == touched:
                at += 1
                continue
            out += (text[done:at], word)
            made += len(word)
            if made > limit:
                raise InvalidWildcard("the result is too long")
            done = touched = end
            if once:
                break
            at = end if end > at else at + 1
        out.append(text[done:])
        return "".join(out)

    def _starts(self, text: str) -> Sequence[bool]:
        return self._reversed().ends(text[::-1])[::-1]

    def _reversed(self) -> _Machine:
        if self._backward is None:
            self._backward = _Machine(self._steps[::-1])
        return self._backward


class _Machine:
    def __init__(self, steps: Sequence[str | None]) -> None:
        self._final = 1 << len(steps)
        self._stars = 0
        self._any = 0
        self._chars: dict[str, int] = {}
        for index, step in enumerate(steps):
            bit = 1 << index
            if step is STAR:
                self._stars |= bit
            elif step == ANY:
                self._any |= bit
            else:
                self._chars[step] = self._chars.get(step, 0) | bit

    def _close(self, states: int) -> int:
        # two stars never follow each other, so one step past a star is all
        return states | (states & self._stars) << 1

    def _step(self, states: int, char: str) -> int:
        stay = 0 if char == "\n" else states & self._stars
        moved = states & self._chars.get(char, 0)
        if char != "\n":
            moved |= states & self._any
        return self._close(stay | moved << 1)

    def end(self, text: str, at: int, longest: bool) -> int | None:
        """Return where a match that begins at `at` ends."""
        states, found = self._close(1), None
        while True:
            if states & self._final:
                found = at
                if not longest:
                    break
            if not states or at == len(text):
                break
            states = self._step(states, text[at])
            at += 1
        return found

    def ends(self, text: str) -> list[bool]:
        """Return, for each position, whether a match that begins anywhere ends there."""
        first = self._close(1)
        states = first
        found = [bool(states & self._final)]
        for char in text:
            states = self._step(states, char) | first
            found.append(bool(states & self._final))
        return found


def _parse(pattern: str) -> list[str | None]:
    steps: list[str | None] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if not steps or steps[-1] is not STAR:
                steps.append(STAR)
        elif char == "?":
            steps.append(ANY)
        elif char != "\\":
            steps.append(char)
        elif (following := pattern[at : at + 1]) in ("}", "/") and following:
            continue
        elif following in ("*", "?", "\\") and following:
            steps.append(following)
            at += 1
        else:
            raise InvalidWildcard(f"invalid escape '\\{following}'")
    return steps
