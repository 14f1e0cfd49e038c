"""Reads RE2's syntax. What RE2 does not have (backreferences, looking around) is refused."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from boxship.lib.re2 import classes
from boxship.lib.re2.classes import Ranges
from boxship.lib.re2.errors import InvalidExpression
from boxship.lib.re2.tree import EMPTY, At, Choice, Group, Node, One, Place, Repeat, Series

LONGEST: Final = 4096
DEEPEST: Final = 100
MOST_REPEATS: Final = 1000
CONTROLS: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
PLACES: Final = {
    "A": Place.TEXT_START,
    "z": Place.TEXT_END,
    "b": Place.WORD_EDGE,
    "B": Place.NO_WORD_EDGE,
}
NAME: Final = frozenset(string.ascii_letters + string.digits + "_")
OCTAL: Final = frozenset("01234567")


@dataclass(frozen=True, slots=True)
class Flags:
    fold: bool = False  # i
    lines: bool = False  # m
    dot_all: bool = False  # s
    few: bool = False  # U


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an expression says, how many groups it has, and which of them have names."""

    node: Node
    groups: int
    names: Mapping[str, int]


def parse(text: str) -> Parsed:
    """Return what an expression says; InvalidExpression when it is none."""
    if len(text) > LONGEST:
        raise InvalidExpression("expression is too large", text[:20] + "...")
    reader = _Reader(text)
    node = reader.choice(Flags(), 0)
    if reader.at < len(text):
        raise InvalidExpression("unexpected )", text)
    return Parsed(node, reader.groups, reader.names)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.names: dict[str, int] = {}
        self.groups = 0

    @property
    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, what: str) -> bool:
        if self.text.startswith(what, self.at):
            self.at += len(what)
            return True
        return False

    # -- what contains others

    def choice(self, flags: Flags, depth: int) -> Node:
        """Read up to a closing parenthesis, or the end."""
        if depth > DEEPEST:
            raise InvalidExpression("expression nests too deeply", self.text)
        parts: list[Node] = []
        series: list[Node] = []
        while self._next not in ("", ")"):
            if self._take("|"):
                parts.append(Series(tuple(series)))
                series = []
                continue
            start = self.at
            if self._next in ("*", "+", "?"):
                raise InvalidExpression("missing argument to repetition operator", self._next)
            node: Node | None
            if self._take("("):
                node, flags = self._group(flags, depth, start)
                if node is None:
                    continue
            else:
                node = self._single(flags)
            series.append(self._repeated(node, flags))
        parts.append(Series(tuple(series)))
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _group(self, flags: Flags, depth: int, start: int) -> tuple[Node | None, Flags]:
        """Read after an opening parenthesis; return also the flags for what follows."""
        inner, number = flags, 0
        if not self._take("?"):
            number = self.groups = self.groups + 1
        elif self._take("P<") or (self._next == "<" and self._take("<")):
            number = self.groups = self.groups + 1
            self._group_name(start)
        else:
            inner, is_group = self._flags(flags, start)
            if not is_group:
                return None, inner
        node = self.choice(inner, depth + 1)
        if not self._take(")"):
            raise InvalidExpression("missing closing )", self.text)
        return Group(number, node) if number else node, flags

    def _group_name(self, start: int) -> None:
        end = self.text.find(">", self.at)
        name = self.text[self.at : end]
        if end < 0 or not name or not NAME.issuperset(name):
            raise InvalidExpression("invalid named capture", self.text[start : end + 1 or None])
        if name in self.names:
            raise InvalidExpression("duplicate capture group name", name)
        self.names[name] = self.groups
        self.at = end + 1

    def _flags(self, flags: Flags, start: int) -> tuple[Flags, bool]:
        """Read `i`, `ms-i` and the like, up to a colon or to the end of the group."""
        wanted, said = True, False
        while letter := self._next:
            self.at += 1
            match letter:
                case "i":
                    flags = replace(flags, fold=wanted)
                case "m":
                    flags = replace(flags, lines=wanted)
                case "s":
                    flags = replace(flags, dot_all=wanted)
                case "U":
                    flags = replace(flags, few=wanted)
                case "-" if wanted:
                    wanted, said = False, False
                    continue
                case ":" | ")" if said or wanted:
                    return flags, letter == ":"
                case _:
                    break
            said = True
        raise InvalidExpression("invalid or unsupported Perl syntax", self.text[start : self.at])

    # -- repetitions

    def _repeated(self, node: Node, flags: Flags) -> Node:
        begin = self.at
        bounds = self._bounds()
        if bounds is None:
            return node
        least, most = bounds
        said = self.text[begin : self.at]
        if least > MOST_REPEATS or (most is not None and not least <= most <= MOST_REPEATS):
            raise InvalidExpression("invalid repeat count", said)
        few = self._take("?") != flags.few
        if self._bounds() is not None:
            said = self.text[begin : self.at]
            raise InvalidExpression("invalid nested repetition operator", said)
        return Repeat(node, least, most, few)

    def _bounds(self) -> tuple[int, int | None] | None:
        for letter, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(letter):
                return bounds
        if self._next != "{":
            return None
        end = self.text.find("}", self.at)
        low, comma, high = self.text[self.at + 1 : max(end, 0)].partition(",")
        numbers = (low, high) if high else (low,)
        if end < 0 or not all(one.isascii() and one.isdigit() for one in numbers):
            return None  # a brace like any other character
        self.at = end + 1
        least = _limited(low)
        if not comma:
            return least, least
        return least, _limited(high) if high else None

    # -- single characters and places

    def _single(self, flags: Flags) -> Node:
        letter = self._next
        match letter:
            case "[":
                return One(self._class(flags))
            case ".":
                self.at += 1
                return One(classes.ANY if flags.dot_all else classes.BUT_NEWLINE)
            case "^":
                self.at += 1
                return At(Place.LINE_START if flags.lines else Place.TEXT_START)
            case "$":
                self.at += 1
                return At(Place.LINE_END if flags.lines else Place.TEXT_END)
            case "\\":
                return self._escaped(flags)
            case _:
                self.at += 1
                return _character(ord(letter), flags)

    def _escaped(self, flags: Flags) -> Node:
        letter = self.text[self.at + 1 : self.at + 2]
        if letter in PLACES and letter:
            self.at += 2
            return At(PLACES[letter])
        if letter == "Q":
            return self._quoted(flags)
        found = self._shorthand(flags)
        return _character(self._code_point(), flags) if found is None else One(found)

    def _quoted(self, flags: Flags) -> Node:
        end = self.text.find("\\E", self.at)
        quoted = self.text[self.at + 2 : end if end >= 0 else None]
        self.at = len(self.text) if end < 0 else end + 2
        if not quoted:
            return EMPTY
        # A repetition after it is of the last character.
        *before, last = [_character(ord(letter), flags) for letter in quoted]
        return Series((*before, self._repeated(last, flags)))

    def _shorthand(self, flags: Flags) -> Ranges | None:
        """Read a set such as `\\d` or `\\pL`; None where there is none."""
        letter = self.text[self.at + 1 : self.at + 2]
        if letter in classes.PERL and letter:
            self.at += 2
            return classes.PERL[letter]
        if letter not in ("p", "P"):
            return None
        start = self.at
        self.at += 2
        name = self._next
        self.at += 1
        if name == "{":
            end = self.text.find("}", self.at)
            if end < 0:
                raise InvalidExpression("invalid character class range", self.text[start:])
            name, self.at = self.text[self.at : end], end + 1
        negated = (letter == "P") != name.startswith("^")
        found = classes.category(name.removeprefix("^"))
        if found is None:
            raise InvalidExpression("invalid character class range", self.text[start : self.at])
        found = classes.folded(found) if flags.fold else found
        return classes.without(found) if negated else found

    def _code_point(self) -> int:
        """Read an escaped character."""
        start = self.at
        letter = self.text[start + 1 : start + 2]
        self.at += 2
        if not letter:
            raise InvalidExpression("trailing backslash at end of expression", "")
        if letter in CONTROLS:
            return CONTROLS[letter]
        if letter == "x":
            return self._hexadecimal(start)
        if letter == "0" or (letter in OCTAL and self._next in OCTAL):
            digits = letter
            while len(digits) < 3 and self._next and self._next in OCTAL:
                digits += self._next
                self.at += 1
            return int(digits, 8)
        if letter.isascii() and letter.isalnum():
            raise InvalidExpression("invalid escape sequence", f"\\{letter}")
        return ord(letter)

    def _hexadecimal(self, start: int) -> int:
        if self._take("{"):
            end = self.text.find("}", self.at)
            digits = self.text[self.at : max(end, self.at)]
            self.at = end + 1
        else:
            digits = self.text[self.at : self.at + 2]
            self.at += 2
            end = 0 if len(digits) == 2 else -1
        if end < 0 or not digits or set(digits) - set(string.hexdigits):
            raise InvalidExpression("invalid escape sequence", self.text[start : start + 4])
        number = int(digits, 16) if len(digits) <= 8 else classes.LAST + 1
        if number > classes.LAST:
            raise InvalidExpression("invalid escape sequence", self.text[start : self.at])
        return number

    def _class(self, flags: Flags) -> Ranges:
        start = self.at
        self.at += 1
        negated = self._take("^")
        found: list[Ranges] = []
        first = True
        while first or self._next != "]":
            first = False
            if not self._next:
                raise InvalidExpression("missing closing ]", self.text[start:])
            found.append(self._class_part(flags))
        self.at += 1
        ranges = classes.union(*found)
        if flags.fold:
            ranges = classes.folded(ranges)
        return classes.without(ranges) if negated else ranges

    def _class_part(self, flags: Flags) -> Ranges:
        if self.text.startswith("[:", self.at) and (end := self.text.find(":]", self.at)) >= 0:
            said = self.text[self.at : end + 2]
            name = said[2:-2]
            known = classes.POSIX.get(name.removeprefix("^"))
            if known is None:
                raise InvalidExpression("invalid character class range", said)
            self.at = end + 2
            return classes.without(known) if name.startswith("^") else known
        if self._next == "\\" and (found := self._shorthand(flags)) is not None:
            return found
        begin = self.at
        low = self._class_character()
        after = self.text[self.at + 1 : self.at + 2]
        if self._next != "-" or after in ("]", ""):
            return ((low, low),)
        self.at += 1
        high = self._class_character()
        if high < low:
            raise InvalidExpression("invalid character class range", self.text[begin : self.at])
        return ((low, high),)

    def _class_character(self) -> int:
        if self._next == "\\":
            return self._code_point()
        if not self._next:
            raise InvalidExpression("missing closing ]", self.text)
        self.at += 1
        return ord(self.text[self.at - 1])


def _limited(digits: str) -> int:
    return int(digits) if len(digits) <= 6 else MOST_REPEATS + 1


def _character(number: int, flags: Flags) -> One:
    ranges: Ranges = ((number, number),)
    return One(classes.folded(ranges) if flags.fold else ranges)
