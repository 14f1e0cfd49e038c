"""Finds which part of a text matches, and the parts that groups have matched.

All that may match is followed side by side, what is rather wanted first; of those that have come
to the same place in the same way only the first goes on. So the time is linear in the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from boxship.lib.re2 import classes, program
from boxship.lib.re2.errors import InvalidExpression
from boxship.lib.re2.parse import parse
from boxship.lib.re2.program import Check, Fork, Instruction, Matched, Note, Take
from boxship.lib.re2.run import is_at

MOST_WORK: Final = 1_000_000  # instructions carried out for one text

_Notes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A part of a text, and of that the parts of groups; -1 for a group that took no part."""

    text: str
    places: _Notes
    names: Mapping[str, int]

    @property
    def start(self) -> int:
        return self.places[0]

    @property
    def end(self) -> int:
        return self.places[1]

    def group(self, which: int | str) -> str:
        """Return what a group has matched; nothing where it has not, or there is no such group."""
        number = self.names.get(which, -1) if isinstance(which, str) else which
        if not 0 <= number < len(self.places) // 2:
            return ""
        start, end = self.places[2 * number : 2 * number + 2]
        return self.text[start:end] if 0 <= start <= end else ""


@lru_cache(maxsize=64)
def matcher(text: str) -> Matcher:
    """Return an expression whose matches can be asked for."""
    return Matcher(text)


class Matcher:
    """Finds matches of one expression."""

    def __init__(self, text: str) -> None:
        parsed = parse(text)
        self._code: list[Instruction] = program.compile(parsed.node, text)
        self._names = parsed.names
        self._nothing: _Notes = (-1,) * (2 * parsed.groups + 2)
        self._text = text

    def find(self, text: str, begin: int = 0) -> Match | None:
        """Return the first match at or after `begin`; of those there, the one rather wanted."""
        return self._find(text, begin, [0])

    def replace(self, text: str, by: Callable[[Match], str]) -> str:
        """Return a text with each match replaced; none is empty right behind another."""
        pieces, done, at, work = list[str](), 0, 0, [0]
        while at <= len(text):
            found = self._find(text, at, work)
            if found is None:
                break
            pieces.append(text[done : found.start])
            if found.end > done or found.start == 0:
                pieces.append(by(found))
            done = found.end
            at = max(at + 1, found.end)
        pieces.append(text[done:])
        return "".join(pieces)

    def _find(self, text: str, begin: int, work: list[int]) -> Match | None:
        best: _Notes | None = None
        ways: list[tuple[int, _Notes]] = []
        for at in range(begin, len(text) + 1):
            before, after = text[at - 1 : at] if at else "", text[at : at + 1]
            if best is None:
                ways.append((0, (at, *self._nothing[1:])))
            if not ways:
                break
            following: list[tuple[int, _Notes]] = []
            for number, notes in self._reached(ways, at, before, after, work):
                match self._code[number]:
                    case Matched():
                        best = (notes[0], at, *notes[2:])
                        break  # what comes after is less wanted
                    case Take(ranges) if after and classes.holds(ranges, ord(after)):
                        following.append((number + 1, notes))
                    case _:
                        pass
            ways = following
        return None if best is None else Match(text, best, self._names)

    def _reached(
        self,
        ways: list[tuple[int, _Notes]],
        at: int,
        before: str,
        after: str,
        work: list[int],
    ) -> Iterator[tuple[int, _Notes]]:
        """Yield, in order, where one gets without taking a character: to takers and to the end."""
        seen: set[int] = set()
        left = ways[::-1]
        while left:
            number, notes = left.pop()
            if number in seen:
                continue
            seen.add(number)
            work[0] += 1 + len(notes) // 16
            if work[0] > MOST_WORK:
                raise InvalidExpression("expression takes too long", self._text[:60])
            match self._code[number]:
                case Fork(targets):
                    left += [(target, notes) for target in reversed(targets)]
                case Note(place):
                    left.append((number + 1, (*notes[:place], at, *notes[place + 1 :])))
                case Check(place):
                    if is_at(place, before, after):
                        left.append((number + 1, notes))
                case _:
                    yield number, notes
