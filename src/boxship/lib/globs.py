"""Shell patterns, matched in linear space and without surprises in time."""

from __future__ import annotations

from typing import Final

from boxship.errors import InvalidRequest

MOST_CLASSES: Final = 256  # in one pattern


class InvalidPattern(InvalidRequest):
    """The pattern is not one."""

    def __init__(self) -> None:
        super().__init__("syntax error in pattern")


def match(pattern: str, text: str, separator: str = "/") -> bool:
    """Whether `text` is what `pattern` says: `*`, `?`, `[a-z]`, `[^a-z]` and `\\x`.

    Neither a star nor a question mark stands for the separator.
    """
    parts = _parse(pattern)
    if sum(map(len, parts)) > len(text):
        return False  # each step but a star takes one character
    first, last = parts[0], parts[-1]
    if not _fits(first, text, 0, separator):
        return False
    if len(parts) == 1:
        return len(first) == len(text)
    # The first place where a part fits leaves the most to the stars that follow.
    at = len(first)
    for part in parts[1:-1]:
        found = _find(part, text, at, separator)
        if found < 0 or separator in text[at:found]:
            return False
        at = found + len(part)
    end = len(text) - len(last)
    return end >= at and separator not in text[at:end] and _fits(last, text, end, separator)


_Step = str | tuple[bool, tuple[tuple[str, str], ...]]
_Part = list[_Step]


def _parse(pattern: str) -> list[_Part]:
    """Return what lies between the stars: a text is itself, "" any character, a tuple a class."""
    steps: _Part = []
    parts = [steps]
    at = classes = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if steps or len(parts) == 1:
                steps = []
                parts.append(steps)
        elif char == "?":
            steps.append("")
        elif char == "[":
            found, at = _class(pattern, at)
            steps.append(found)
            classes += 1
        elif char == "\\":
            if at == len(pattern):
                raise InvalidPattern
            steps.append(pattern[at])
            at += 1
        else:
            steps.append(char)
    if classes > MOST_CLASSES:
        raise InvalidPattern
    return parts


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


def _fits(part: _Part, text: str, at: int, separator: str) -> bool:
    return all(_is(step, char, separator) for step, char in zip(part, text[at:], strict=False))


def _is(wanted: _Step, char: str, separator: str) -> bool:
    if isinstance(wanted, str):
        return wanted == char or (wanted == "" and char != separator)
    negated, ranges = wanted
    return any(low <= char <= high for low, high in ranges) != negated


def _find(part: _Part, text: str, at: int, separator: str) -> int:
    """Return where a part fits first, from `at` on; -1 where it does not.

    All its beginnings are followed at once, each a bit of one number (shift-and).
    """
    if all(isinstance(step, str) and step for step in part):
        return text.find("".join(step for step in part if isinstance(step, str)), at)
    of_text: dict[str, int] = {}
    anything = 0
    classes: list[tuple[_Step, int]] = []
    for number, step in enumerate(part):
        if not isinstance(step, str):
            classes.append((step, 1 << number))
        elif step:
            of_text[step] = of_text.get(step, 0) | 1 << number
        else:
            anything |= 1 << number
    fitting: dict[str, int] = {}
    done, alive = 1 << len(part) - 1, 0
    for place in range(at, len(text)):
        char = text[place]
        if (bits := fitting.get(char)) is None:
            bits = of_text.get(char, 0) | (anything if char != separator else 0)
            bits |= sum(bit for step, bit in classes if _is(step, char, separator))
            fitting[char] = bits
        alive = (alive << 1 | 1) & bits
        if alive & done:
            return place - len(part) + 1
    return -1
