"""What is wrong with a Dockerfile, and the lines that show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Self

from boxship.build.ops import Place
from boxship.errors import BoxshipError, InvalidRequest, NotFound, Unavailable

RULE: Final = "-" * 20
AROUND_ONE: Final = 4  # how much is shown around one line,
AROUND_MANY: Final = 2  # and around several
NEAR: Final = 3  # the largest distance at which a word is taken for a slip of another


class AtLines(BoxshipError):
    """What is the fault of lines of a Dockerfile, its `places`."""

    def __init__(self, message: str, places: Iterable[Place] = ()) -> None:
        super().__init__(message)
        self.places = tuple(places)


class NoSuchBase(AtLines, NotFound):
    """The image that a stage stands on does not exist."""


class BaseUnavailable(AtLines, Unavailable):
    """Nobody could say now whether there is the image that a stage stands on."""


class DockerfileError(AtLines, InvalidRequest):
    """The Dockerfile, or what was asked of it, is wrong."""

    def at(self, *places: Place) -> Self:
        """Return the error with `places`, unless it has some already."""
        if not self.places:
            self.places = places
        return self

    def on_line(self, line: int) -> DockerfileError:
        """Return the error as one of the parser's, which names its line."""
        return DockerfileError(f"dockerfile parse error on line {line}: {self}", self.places)


def excerpt(name: str, text: str, places: Sequence[Place]) -> str:
    """Show the places in the file, as BuildKit's clients do.

    Dockerfile:2
    --------------------
       1 |     FROM busybox
       2 | >>> RUNN true
    --------------------
    """
    lines = text.split("\n")
    if not places or not 1 <= (first := min(place.first for place in places)) <= len(lines):
        return ""
    named = first
    last = min(max(first, *(place.last for place in places)), len(lines))
    room = AROUND_ONE if first == last else AROUND_MANY
    while room > 0:
        room -= 1
        if first > 1:
            first -= 1
            room -= 1
        if last < len(lines):
            last += 1
            room -= 1
    shown = [f"{name}:{named}", RULE]
    for number in range(first, last + 1):
        marked = any(place.first <= number <= place.last for place in places)
        mark = ">>>" if marked else "   "
        shown.append(f" {number:3d} | {mark} {lines[number - 1].rstrip(chr(13))}")
    shown.append(RULE)
    return "\n".join(shown) + "\n"


def nearest(word: str, options: Iterable[str], *, fold: bool = False) -> str:
    """Return the option that `word` seems to mean; empty when none is near."""
    asked = word.lower() if fold else word
    found, least = "", NEAR
    for option in options:
        known = option.lower() if fold else option
        if known == asked:
            return ""  # it is no slip
        if abs(len(known) - len(asked)) < least and (far := _distance(asked, known)) < least:
            found, least = option, far
    return found


def suggest(message: str, word: str, options: Iterable[str], *, fold: bool = False) -> str:
    """Return the message with the word that was meant, where one is near."""
    meant = nearest(word, options, fold=fold)
    return f"{message} (did you mean {meant}?)" if meant else message


def _distance(one: str, other: str) -> int:
    if len(one) > 100 or len(other) > 100:
        return NEAR
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        corner, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (a != b))
    return row[-1]
