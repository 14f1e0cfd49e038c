"""Shell patterns, matched in linear space and without surprises in time."""

from __future__ import annotations

from boxship.errors import InvalidRequest


class InvalidPattern(InvalidRequest):
    """The pattern is not one."""

    def __init__(self) -> None:
        super().__init__("syntax error in pattern")


def match(pattern: str, text: str, separator: str = "/") -> bool:
    """Whether `text` is what `pattern` says: `*`, `?`, `[a-z]`, `[^a-z]` and `\\x`.

    Neither a star nor a question mark stands for the separator.
    """
    steps = _parse(pattern)
    if sum(step is not None for step in steps) > len(text):
        return False  # each step but a star takes one character
    at = step = 0
    star, marked = -1, 0
    while at < len(text) or step < len(steps):
        if step < len(steps):
            wanted = steps[step]
            if wanted is None:
                star, marked = step, at
                step += 1
                continue
            if at < len(text) and _fits(wanted, text[at], separator):
                at, step = at + 1, step + 1
                continue
        if star < 0 or marked >= len(text) or text[marked] == separator:
            return False
        marked += 1
        at, step = marked, star + 1
    return True


_Step = str | tuple[bool, tuple[tuple[str, str], ...]] | None


def _parse(pattern: str) -> list[_Step]:
    """Read a pattern: None is a star, "" any one character, a text itself, a tuple a class."""
    steps: list[_Step] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if not steps or steps[-1] is not None:
                steps.append(None)
        elif char == "?":
            steps.append("")
        elif char == "[":
            found, at = _class(pattern, at)
            steps.append(found)
        elif char == "\\":
            if at == len(pattern):
                raise InvalidPattern
            steps.append(pattern[at])
            at += 1
        else:
            steps.append(char)
    return steps


def _class(pattern: str, at: int) -> tuple[_Step, int]:
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[tuple[str, str]] = []
    while not (pattern[at : at + 1] == "]" and ranges):
        low, at = _member(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _member(pattern, at + 1)
        ranges.append((low, high))
    return (negated, tuple(ranges)), at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at : at + 1]
    if char in ("", "-", "]"):
        raise InvalidPattern
    if char == "\\":
        at += 1
        char = pattern[at : at + 1]
        if not char:
            raise InvalidPattern
    return char, at + 1


def _fits(wanted: _Step, char: str, separator: str) -> bool:
    if isinstance(wanted, str):
        return wanted == char or (wanted == "" and char != separator)
    assert wanted is not None
    negated, ranges = wanted
    return any(low <= char <= high for low, high in ranges) != negated
