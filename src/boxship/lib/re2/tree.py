"""What an expression says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from boxship.lib.re2.classes import Ranges


class Place(Enum):
    """A place in the text that takes no character."""

    TEXT_START = "\\A"
    TEXT_END = "\\z"
    LINE_START = "(?m)^"
    LINE_END = "(?m)$"
    WORD_EDGE = "\\b"
    NO_WORD_EDGE = "\\B"


@dataclass(frozen=True, slots=True)
class One:
    """One character of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class At:
    """A place."""

    place: Place


@dataclass(frozen=True, slots=True)
class Series:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same several times; without a `most` there is no end. few: rather less than more."""

    part: Node
    least: int
    most: int | None
    few: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A part whose match can be asked for, by its number or its name."""

    number: int
    part: Node


Node = One | At | Series | Choice | Repeat | Group
EMPTY = Series(())
