"""The text of a definition, where in it something stands, and what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from boxship.errors import InvalidRequest

RULE: Final = "-" * 20


@dataclass(frozen=True, slots=True)
class Source:
    """A text and the name of its file."""

    text: str
    name: str = ""

    def place(self, at: int) -> tuple[int, int]:
        """Return line and column of an offset, both from 1."""
        line = self.text.count("\n", 0, at) + 1
        return line, at - (self.text.rfind("\n", 0, at) + 1) + 1


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text; `end` is the offset after it."""

    source: Source
    start: int
    end: int

    def __str__(self) -> str:
        line, column = self.source.place(self.start)
        last_line, last_column = self.source.place(max(self.start, self.end))
        until = f"{last_column}" if last_line == line else f"{last_line},{last_column}"
        return f"{self.source.name or 'line'}:{line},{column}-{until}"

    def excerpt(self) -> str:
        """Return the lines of it, those around them, and marks before its own."""
        first, _ = self.source.place(self.start)
        last, _ = self.source.place(max(self.start, self.end - 1))
        lines = self.source.text.split("\n")
        begin, end, room = first, min(last, len(lines)), 4 if first == last else 2
        while room > 0 and (begin > 1 or end < len(lines)):
            if begin > 1:
                begin, room = begin - 1, room - 1
            if end < len(lines):
                end, room = end + 1, room - 1
        shown = [f"{self.source.name}:{first}", RULE]
        for number in range(begin, end + 1):
            mark = ">>>" if first <= number <= last else "   "
            shown.append(f"{number:4d} | {mark} {lines[number - 1].rstrip()}")
        return "\n".join([*shown, RULE])


class BadDefinition(InvalidRequest):
    """Something in a definition is wrong: a short word for it, what it is, and where."""

    def __init__(self, summary: str, detail: str, span: Span | None = None) -> None:
        place = f"{span}: " if span else ""
        super().__init__(f"{place}{summary}; {detail}")
        self.summary = summary
        self.detail = detail
        self.span = span


class BadValue(ValueError):
    """A value is not what is asked for; whoever knows where it stands says so."""
