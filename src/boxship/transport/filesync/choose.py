"""Which files of a folder are sent: what the other side includes, excludes and follows.

Patterns are those of `.dockerignore`. Where something is included, only that is sent, and the
folders above it. What is followed is included, and so is where its links lead.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from boxship.lib import globs
from boxship.lib.ignore import NOTHING_MATCHED, Matcher

MOST_LINKS: Final = 255
WILD: Final = re.compile(r"[*?\[]")
ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
SPECIAL: Final = re.compile(r"[*?\[\\]|^!")
ENDS: Final = re.compile(r"^\s|\s\Z")

Said = tuple[Sequence[bool], Sequence[bool]]
START: Final[Said] = (NOTHING_MATCHED, NOTHING_MATCHED)


class Choice:
    """Patterns, ready to be asked while a folder is walked."""

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        self._include = Matcher(include)
        self._exclude = Matcher(exclude)

    def below(self, path: str, parent: Said, *, folder: bool) -> tuple[bool, bool, Said]:
        """Return whether an entry is sent, whether to look into it, and what to say of it below."""
        included, said_in = True, parent[0]
        if self._include:
            included, said_in = self._include.below(path, parent[0])
        excluded, said_out = False, parent[1]
        if self._exclude:
            excluded, said_out = self._exclude.below(path, parent[1])
        enter = folder
        if folder and excluded and self._exclude.prunes(path):
            enter = False
        if folder and not included:
            parts = path.split("/")
            enter = enter and any(p.may_match_below(parts) for p in self._include.patterns)
        return included and not excluded, enter, (said_in, said_out)


def follow(root: str, paths: Iterable[str]) -> list[str]:
    """Return patterns of the paths, and of what their links lead to, all beneath `root`; sorted.

    None are returned where one leads to the root itself: everything is wanted then.
    """
    found: set[str] = set()
    for path in paths:
        _follow(root, _names(path), [], found, MOST_LINKS)
    return [] if "" in found else sorted(found)


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _follow(root: str, left: list[str], done: list[str], found: set[str], links: int) -> None:
    """Walk down; each link adds itself and goes on at its target, taken as inside the root.

    `left` are patterns, of which there may be many for one path, and `done` are names.
    """
    left = list(left)
    while left:
        pattern = left.pop(0)
        if pattern == "..":
            done = done[:-1]
            continue
        if WILD.search(ESCAPED.sub("", pattern)):
            matches = list(_matching(os.path.join(root, *done), pattern))
            for match in matches:
                _follow(root, [_literal(match), *left], done, found, links)
            if not matches:
                found.add("/".join((*map(_literal, done), pattern)))
            return
        here = [*done, ESCAPED.sub(r"\1", pattern)]
        target = _link(os.path.join(root, *here))
        if target is None:
            done = here
            continue
        found.add(_pattern(here))
        if links <= 0:
            return
        links -= 1
        if target.startswith("/"):
            done = []
        left = [*map(_literal, _names(target)), *left]
    found.add(_pattern(done))


def _literal(name: str) -> str:
    """Return the pattern that matches a name alone."""
    return SPECIAL.sub(r"\\\g<0>", name)


def _pattern(names: Sequence[str]) -> str:
    """Return the pattern that matches a path alone, as a line: spaces at its ends would be cut."""
    return ENDS.sub(r"[\g<0>]", "/".join(map(_literal, names)))


def _matching(folder: str, pattern: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    yield from (name for name in names if globs.match(pattern, name))


def _link(path: str) -> str | None:
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode):
            return os.readlink(path)
    except OSError:
        return None
    return None
