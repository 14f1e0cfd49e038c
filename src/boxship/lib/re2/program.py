"""From what an expression says to instructions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from boxship.lib.re2.classes import Ranges
from boxship.lib.re2.errors import InvalidExpression
from boxship.lib.re2.tree import At, Choice, Group, Node, One, Place, Repeat, Series

LARGEST: Final = 5000  # instructions, and as many parts


@dataclass(frozen=True, slots=True)
class Take:
    """Take one character of a set, and go on at the next instruction."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Check:
    """Go on at the next instruction if this is the place."""

    place: Place


@dataclass(frozen=True, slots=True)
class Note:
    """Note where the text is, under a number, and go on at the next instruction."""

    number: int


@dataclass(slots=True)
class Fork:
    """Go on at each of some instructions; what comes earlier is rather wanted."""

    targets: list[int]


@dataclass(frozen=True, slots=True)
class Matched:
    """The end."""


Instruction = Take | Check | Note | Fork | Matched


def compile(node: Node, text: str) -> list[Instruction]:
    """Return the program of an expression; `text` is how it was written."""
    made = _Program(text)
    made.add(node)
    made.put(Matched())
    return made.code


class _Program:
    def __init__(self, text: str) -> None:
        self.code: list[Instruction] = []
        self._text = text
        self._nodes = 0

    def put(self, instruction: Instruction) -> None:
        if len(self.code) >= LARGEST:
            raise InvalidExpression("expression is too large", self._text[:60])
        self.code.append(instruction)

    def _fork(self) -> Fork:
        made = Fork([])
        self.put(made)
        return made

    def add(self, node: Node) -> None:
        self._nodes += 1
        if self._nodes > LARGEST:  # what is repeated a thousand times need not be anything
            raise InvalidExpression("expression is too large", self._text[:60])
        match node:
            case One(ranges):
                self.put(Take(ranges))
            case At(place):
                self.put(Check(place))
            case Series(parts):
                for part in parts:
                    self.add(part)
            case Choice(parts):
                self._add_choice(parts)
            case Repeat():
                self._add_repeat(node)
            case Group(number, part):
                self.put(Note(2 * number))
                self.add(part)
                self.put(Note(2 * number + 1))
            case _:
                assert_never(node)

    def _add_choice(self, parts: tuple[Node, ...]) -> None:
        fork, ends = self._fork(), []
        for part in parts:
            fork.targets.append(len(self.code))
            self.add(part)
            ends.append(self._fork())
        for end in ends:
            end.targets.append(len(self.code))

    def _add_repeat(self, node: Repeat) -> None:
        for _ in range(node.least):
            self.add(node.part)
        if node.most is None:
            start = len(self.code)
            fork = self._fork()
            fork.targets.append(len(self.code))
            self.add(node.part)
            self._fork().targets.append(start)
            fork.targets.append(len(self.code))
            if node.few:
                fork.targets.reverse()
            return
        skips = []
        for _ in range(node.most - node.least):
            skips.append(self._fork())
            skips[-1].targets.append(len(self.code))
            self.add(node.part)
        for skip in skips:
            skip.targets.append(len(self.code))
            if node.few:
                skip.targets.reverse()
