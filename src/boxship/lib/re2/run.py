"""Looks for a match: the states that a text can have led to, one character after the other.

The step from one set of states to the next by a character is remembered, so that a text that goes
on in the same way costs a look into a table for each character.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from boxship.lib.re2 import classes, program
from boxship.lib.re2.errors import InvalidExpression
from boxship.lib.re2.parse import parse
from boxship.lib.re2.program import Check, Fork, Instruction, Matched, Note, Take
from boxship.lib.re2.tree import Place

REMEMBERED: Final = 50_000  # states
MOST_WORK: Final = 5_000_000  # states looked at for one text
SPECIAL: Final = frozenset("\\.+*?()|[]{}^$")
_States = frozenset[int]


@lru_cache(maxsize=64)
def compile(text: str) -> Expression:
    """Return an expression, ready to be looked for; InvalidExpression when it is none."""
    return Expression(text)


class Expression:
    """What is looked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._plain = SPECIAL.isdisjoint(text)
        self._code: list[Instruction] = (
            [] if self._plain else program.compile(parse(text).node, text)
        )
        self._steps: dict[tuple[_States, str, str], _States | None] = {}
        self._kept = 0

    def search(self, text: str) -> bool:
        """Whether a text holds a match; InvalidExpression if it takes too much to tell."""
        if self._plain:
            return self.text in text
        states: _States | None = frozenset()
        before, work = "", 0
        for letter in (*text, ""):
            assert states is not None
            key = states, before, letter
            if key in self._steps:
                states = self._steps[key]
            else:
                work += len(states) + len(self._code)
                if work > MOST_WORK:
                    raise InvalidExpression("expression takes too long", self.text[:60])
                states = self._remember(key)
            if states is None:
                return True
            before = letter
        return False

    def _remember(self, key: tuple[_States, str, str]) -> _States | None:
        found = self._step(*key)
        self._kept += len(key[0]) + 1
        if self._kept > REMEMBERED:
            self._steps.clear()
            self._kept = 0
        self._steps[key] = found
        return found

    def _step(self, states: _States, before: str, letter: str) -> _States | None:
        """Return the states after a character; None if it matches already before it.

        Wherever the text is, a match may begin.
        """
        reached: set[int] = set()
        left = [0, *states]
        following: set[int] = set()
        while left:
            at = left.pop()
            if at in reached:
                continue
            reached.add(at)
            match self._code[at]:
                case Matched():
                    return None
                case Fork(targets):
                    left += targets
                case Note():
                    left.append(at + 1)
                case Check(place):
                    if is_at(place, before, letter):
                        left.append(at + 1)
                case Take(ranges):
                    if letter and classes.holds(ranges, ord(letter)):
                        following.add(at + 1)
        return frozenset(following)


def is_at(place: Place, before: str, after: str) -> bool:
    """Whether a place is between two characters; none is the text's edge."""
    match place:
        case Place.TEXT_START:
            return not before
        case Place.TEXT_END:
            return not after
        case Place.LINE_START:
            return before in ("", "\n")
        case Place.LINE_END:
            return after in ("", "\n")
        case Place.WORD_EDGE:
            return _is_word(before) != _is_word(after)
        case Place.NO_WORD_EDGE:
            return _is_word(before) == _is_word(after)


def _is_word(letter: str) -> bool:
    return bool(letter) and classes.holds(classes.WORD, ord(letter))
