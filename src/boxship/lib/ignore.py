"""`.dockerignore`: what of a context is left out.

    # comment          only at the very beginning of a line
    docs/*.md          one pattern a line, beneath the context's root
    **/tmp             `**` stands for any number of folders
    !docs/README.md    takes back what a line above leaves out; the last that matches decides

A pattern that matches a folder leaves out all that is beneath. The rules are those of
moby/patternmatcher, to the letter: clients apply them before they send, and both must agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.errors import InvalidRequest
from boxship.lib import globs

NAME: Final = ".dockerignore"
SIZE_LIMIT: Final = 4 << 20
PATTERN_LIMIT: Final = 100_000
BOM: Final = "\ufeff"
SPECIAL: Final = ".+()|{}$"
STARS_FOR_RE: Final = 2  # in one name; with more, a regular expression could take forever

Match = Callable[[str], bool]
NOTHING_MATCHED: Final[tuple[bool, ...]] = ()


class InvalidPattern(InvalidRequest):
    """A line of the file is no pattern."""


def file_for(dockerfile: str) -> str:
    """Return the name of the file that holds for one Dockerfile alone, and wins."""
    return dockerfile + NAME


def read(data: bytes) -> list[str]:
    """Return the file's patterns, cleaned."""
    if len(data) > SIZE_LIMIT:
        raise InvalidPattern(f"{NAME} is larger than {SIZE_LIMIT} bytes")
    patterns: list[str] = []
    for line in data.decode("utf-8", "surrogateescape").removeprefix(BOM).split("\n"):
        if line.startswith("#") or not (pattern := line.strip()):
            continue
        negated = pattern.startswith("!")
        if negated:
            pattern = pattern[1:].strip()
        if pattern:
            pattern = clean(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        patterns.append("!" + pattern if negated else pattern)
    if len(patterns) > PATTERN_LIMIT:
        raise InvalidPattern(f"{NAME} has more than {PATTERN_LIMIT} patterns")
    return patterns


def clean(path: str) -> str:
    """Return the shortest path that means the same, as Go's path.Clean does."""
    out: list[str] = []
    rooted = path.startswith("/")
    for part in path.split("/"):
        if part == "..":
            if out and out[-1] != "..":
                out.pop()
            elif not rooted:
                out.append(part)
        elif part not in ("", "."):
            out.append(part)
    return "/" * rooted + "/".join(out) or "."


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line; `negated` where it takes back."""

    text: str
    negated: bool
    matches: Match

    def may_match_below(self, folder: Sequence[str]) -> bool:
        """Whether it could match something beneath a folder; when in doubt, it could."""
        parts = self.text.split("/")
        for index, name in enumerate(folder):
            if index >= len(parts) - 1:
                return any("**" in part for part in parts)
            if "**" in parts[index]:
                return True
            if not _glob(parts[index], name):
                return False
        return True


def _glob(pattern: str, name: str) -> bool:
    try:
        return globs.match(pattern, name)
    except globs.InvalidPattern:
        return True


class Matcher:
    """Patterns, ready to be asked."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(_compile(text) for text in map(str.strip, patterns) if text)
        self.has_negations = any(pattern.negated for pattern in self.patterns)
        self._pairs = tuple((pattern.negated, pattern.matches) for pattern in self.patterns)

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matcher) and self._said() == other._said()

    def __hash__(self) -> int:
        return hash(self._said())

    def _said(self) -> tuple[tuple[str, bool], ...]:
        return tuple((pattern.text, pattern.negated) for pattern in self.patterns)

    def ignores(self, path: str) -> bool:
        """Whether a path, relative to the context's root, is left out."""
        parts = path.split("/")
        parents = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        ignored = False
        for negated, matches in self._pairs:
            if negated == ignored and (matches(path) or any(map(matches, parents))):
                ignored = not negated
        return ignored

    def below(self, path: str, parent: Sequence[bool]) -> tuple[bool, Sequence[bool]]:
        """Like `ignores`, for a walk: takes and returns what each pattern said of the folder.

        `parent` is NOTHING_MATCHED at the root.
        """
        ignored = False
        said: list[bool] = []
        for index, (negated, matches) in enumerate(self._pairs):
            matched = bool(parent) and parent[index]
            if not matched and negated == ignored:
                matched = matches(path)
            said.append(matched)
            if matched:
                ignored = not negated
        return ignored, said

    def prunes(self, folder: str) -> bool:
        """Whether an ignored folder can be passed over whole."""
        if not self.has_negations:
            return True
        parts = folder.split("/")
        return not any(p.negated and p.may_match_below(parts) for p in self.patterns)


def _compile(line: str) -> Pattern:
    text = clean(line)
    negated = text.startswith("!")
    if negated:
        text = text[1:]
        if not text:
            raise InvalidPattern('illegal exclusion pattern: "!"')
    try:
        globs.match(text, ".")
    except globs.InvalidPattern:
        raise InvalidPattern(f"syntax error in pattern: {text[:100]!r}") from None
    return Pattern(text, negated, _matcher(text))


def _matcher(text: str) -> Match:
    """Return the cheapest function that matches as the pattern's expression would."""
    kind, expression = _expression(text)
    if kind == "exact":
        return text.__eq__
    if kind == "prefix":
        head = text[:-2]
        return lambda path: path.startswith(head)
    if kind == "suffix":
        tail = text[2:]
        if not tail:  # `**` alone
            return lambda path: True
        if tail.startswith("/"):
            return lambda path: path.endswith(tail) or path == tail[1:]
        return lambda path: path.endswith(tail)
    if _is_cheap(text):
        try:
            found = re.compile(expression).fullmatch
        except re.error:
            raise InvalidPattern(f"syntax error in pattern: {text[:100]!r}") from None
        return lambda path: found(path) is not None
    return _Machine(text).matches


def _is_cheap(text: str) -> bool:
    return text.count("**") <= 1 and all(
        part.replace("**", "").count("*") <= STARS_FOR_RE for part in text.split("/")
    )


def _expression(text: str) -> tuple[str, str]:
    """Say what kind of pattern it is, and the regular expression for the general kind."""
    kind = "exact"
    out: list[str] = []
    for index, step in enumerate(_steps(text)):
        if step == "**$":
            if kind == "exact":
                kind = "prefix"
            else:
                out.append(".*")
                kind = "regexp"
        elif step == "**":
            out.append("(?:.*/)?")
            kind = "regexp"
        elif step == "*":
            out.append("[^/]*")
            kind = "regexp"
        elif step == "?":
            out.append("[^/]")
            kind = "regexp"
        elif step[0] == "[":
            out.append(_class_expression(step))
            kind = "regexp"
        elif step[0] == "\\":
            out.append(re.escape(step[1:]))
            kind = "regexp"
        else:
            out.append(re.escape(step))
        if index == 0 and step.startswith("**"):
            kind = "suffix"
    return kind, "".join(out)


def _steps(text: str) -> list[str]:
    """Cut a pattern: `**` (with the slash after it), `**$` at the end, `*`, `?`, `[…]`, chars."""
    steps: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*" and text[at : at + 1] == "*":
            at += 1
            at += text[at : at + 1] == "/"
            steps.append("**$" if at == len(text) else "**")
        elif char == "[":
            end = _class_end(text, at)
            steps.append(text[at - 1 : end])
            at = end
        elif char == "\\" and at < len(text):
            steps.append(char + text[at])
            at += 1
        else:
            steps.append(char)
    return steps


def _class_end(text: str, at: int) -> int:
    """Return where a class that began before `at` is over; the syntax was checked before."""
    at += text[at : at + 1] == "^"
    first = True
    while at < len(text) and (first or text[at] != "]"):
        at += 2 if text[at] == "\\" else 1
        first = False
    return min(at + 1, len(text))


def _class_expression(step: str) -> str:
    inner = step[1:-1]
    negated = inner.startswith("^")
    body = inner[negated:]
    out: list[str] = []
    at = 0
    while at < len(body):
        char = body[at]
        if char == "\\" and at + 1 < len(body):
            at += 1
            out.append(re.escape(body[at]))
        elif char in "[]&~|^\\":
            out.append("\\" + char)
        else:
            out.append(char)
        at += 1
    return "[" + "^" * negated + "".join(out) + "]"


class _Machine:
    """Matches all states of a pattern at once, so that no pattern takes forever."""

    def __init__(self, text: str) -> None:
        steps = _steps(text)
        self._steps = steps
        self._final = 1 << len(steps)
        self._skip = 0  # may be left out
        self._loops = 0  # `*`: stays at any character but a slash
        self._deep = 0  # `**`: stays at any character, is left after a slash
        self._tail = 0  # `**$`: stays at any character
        for index, step in enumerate(steps):
            bit = 1 << index
            if step == "*":
                self._loops |= bit
                self._skip |= bit
            elif step == "**":
                self._deep |= bit
                self._skip |= bit
            elif step == "**$":
                self._tail |= bit
                self._skip |= bit
        self._classes = {
            index: re.compile(_class_expression(step), re.DOTALL).fullmatch
            for index, step in enumerate(steps)
            if len(step) > 1 and step[0] == "["
        }
        self._moves: dict[str, int] = {}

    def _move(self, char: str) -> int:
        """Return the states that a character leads on from."""
        found = self._moves.get(char)
        if found is None:
            found = 0
            for index, step in enumerate(self._steps):
                if index in self._classes:
                    fits = self._classes[index](char) is not None
                elif step == "?":
                    fits = char != "/"
                elif step[0] == "\\" and len(step) > 1:
                    fits = step[1] == char
                else:
                    fits = step == char and step != "*"
                if fits:
                    found |= 1 << index
            self._moves[char] = found
        return found

    def _close(self, states: int, inside: int = 0) -> int:
        """Add what can be reached by leaving steps out; not from within a begun `**`."""
        while more := ((states & self._skip & ~inside) << 1) & ~states:
            states |= more
        return states

    def matches(self, path: str) -> bool:
        fresh = self._close(1)
        inside = 0  # the `**` that have taken a character and wait for a slash
        for char in path:
            moved = (fresh & self._move(char)) << 1
            if char == "/":
                moved |= ((fresh | inside) & self._deep) << 1
            else:
                moved |= fresh & self._loops
            inside = (fresh | inside) & self._deep if char != "\n" else 0
            moved |= fresh & self._tail if char != "\n" else 0
            fresh = self._close(moved)
            if not fresh and not inside:
                return False
        return bool(fresh & self._final)
