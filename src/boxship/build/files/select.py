"""Which files a copy takes: what its source names, less what its patterns leave out.

The same selection is made for the copy and for its cache key, so that a file that is not taken
never makes a step run again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.build import stopping
from boxship.build.errors import NoSuchFile
from boxship.build.ops import Copy
from boxship.kernel import paths
from boxship.lib import globs
from boxship.lib.ignore import NOTHING_MATCHED, Matcher
from boxship.snapshot import trees

WILD: Final = "*?["
NODE: Final = os.O_PATH | os.O_NOFOLLOW
MOST_LINKS: Final = 40


@dataclass(slots=True)
class Picked:
    """A file that is taken: of which match, where beneath it, and what it is.

    `rel` is empty for the match itself. `folder` holds it and is valid until the next is asked
    for. A folder that only leads to what is taken is `implied`.
    """

    match: bytes
    rel: bytes
    folder: int
    name: bytes
    stat: os.stat_result
    implied: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """One file that the source names; `path` as it was asked for, `real` where it is."""

    path: bytes
    real: bytes


def matches(root: int, copy: Copy) -> list[Match]:
    """Return what a copy's source names, in order; NoSuchFile where it must name something."""
    path = clean(copy.source)
    if not copy.wildcard or not any(char in path for char in WILD):
        return [Match(os.fsencode(path), _real(root, path, copy.follow_links))]
    fixed, pattern = _split(path)
    found = [
        Match(os.fsencode(one), _real(root, one, copy.follow_links))
        for one in _expand(root, fixed, pattern, copy.follow_links)
    ]
    if not found and not copy.allow_no_match:
        raise NoSuchFile(copy.source)
    return found


def clean(path: str) -> str:
    """Return a path from the root without a leading slash; `..` ends at the root."""
    words: list[str] = []
    for word in path.split("/"):
        if word == "..":
            words = words[:-1]
        elif word not in ("", "."):
            words.append(word)
    return "/".join(words)


def _split(path: str) -> tuple[str, list[str]]:
    """Cut a path before its first word with a wildcard."""
    words = path.split("/")
    first = next(n for n, word in enumerate(words) if any(char in word for char in WILD))
    return "/".join(words[:first]), words[first:]


def _expand(root: int, fixed: str, pattern: Sequence[str], follow: bool) -> Iterator[str]:
    """Yield the paths that match, in byte order."""
    try:
        folder = paths.open_in_root(root, fixed or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        names = sorted(os.listdir(folder), key=os.fsencode)
    finally:
        os.close(folder)
    for name in names:
        if not globs.match(pattern[0], name):
            continue
        inner = f"{fixed}/{name}" if fixed else name
        if len(pattern) == 1:
            yield inner
        elif any(char in word for word in pattern[1:] for char in WILD):
            yield from _expand(root, inner, pattern[1:], follow)
        else:
            rest = "/".join((inner, *pattern[1:]))
            if _there(root, rest):
                yield rest


def _there(root: int, path: str) -> bool:
    try:
        os.close(paths.open_in_root(root, path, NODE))
    except OSError:
        return False
    return True


def _real(root: int, path: str, follow: bool) -> bytes:
    """Return where a path leads, without links but, unless they are followed, the last."""
    try:
        if follow:
            there = paths.open_in_root(root, path or ".", os.O_PATH)
        else:
            folder, name = paths.parent_and_name(root, path or ".")
            try:
                there = paths.openat2(
                    folder, name, NODE, 0, paths.RESOLVE_BENEATH if name != b"." else 0
                )
            finally:
                os.close(folder)
    except OSError as failure:
        raise NoSuchFile("/" + path) from failure
    try:
        return within(root, there)
    finally:
        os.close(there)


def within(root: int, there: int) -> bytes:
    """Return where an open file is beneath the root."""
    top = os.readlink(b"/proc/self/fd/%d" % root)
    found = os.readlink(b"/proc/self/fd/%d" % there)
    if top != b"/" and found.startswith(top):
        found = found[len(top) :]
    return found.strip(b"/")


def picked(root: int, match: Match, copy: Copy) -> Generator[Picked, None, None]:
    """Yield a match and all beneath it that is taken, folders before what they hold."""
    up, _, name = match.real.rpartition(b"/")
    folder = paths.openat2(root, up or b".", trees.FOLDER, 0, paths.RESOLVE_BENEATH)
    try:
        status = os.stat(name or b".", dir_fd=folder, follow_symlinks=False)
        include, exclude = Matcher(copy.include), Matcher(copy.exclude)
        yield Picked(match.path, b"", folder, name or b".", status, implied=bool(include))
        if stat.S_ISDIR(status.st_mode):
            inside = os.open(name or b".", trees.FOLDER, dir_fd=folder)
            try:
                if include or exclude:
                    yield from _filtered(inside, match.path, include, exclude)
                else:
                    for node in trees.walk(inside):
                        stopping.check()
                        yield Picked(match.path, node.path, node.folder, node.name, node.stat)
            finally:
                os.close(inside)
    finally:
        os.close(folder)


@dataclass(slots=True)
class _Level:
    """A folder that is being walked; `waiting` until something in it is taken."""

    rel: bytes
    folder: int
    names: list[bytes]
    included: Sequence[bool]
    excluded: Sequence[bool]
    waiting: Picked | None = None


def _filtered(top: int, match: bytes, include: Matcher, exclude: Matcher) -> Iterator[Picked]:
    stack = [_Level(b"", os.dup(top), _names(top), NOTHING_MATCHED, NOTHING_MATCHED)]
    try:
        while stack:
            level = stack[-1]
            if not level.names:
                stack.pop()
                os.close(level.folder)
                continue
            stopping.check()
            name = level.names.pop()
            status = os.stat(name, dir_fd=level.folder, follow_symlinks=False)
            rel = level.rel + b"/" + name if level.rel else name
            text = os.fsdecode(rel)
            taken, inner_included = include.below(text, level.included)
            taken = taken or not include
            left_out, inner_excluded = exclude.below(text, level.excluded)
            is_folder = stat.S_ISDIR(status.st_mode)
            found = Picked(match, rel, level.folder, name, status)
            if taken and not left_out:
                yield from _waiting(stack)
                yield found
                found = Picked(match, rel, level.folder, name, status)
            elif not is_folder or (left_out and exclude.prunes(text)):
                continue
            if is_folder:
                opened = os.open(name, trees.FOLDER, dir_fd=level.folder)
                waits = None if taken and not left_out else found
                stack.append(
                    _Level(rel, opened, _names(opened), inner_included, inner_excluded, waits)
                )
    finally:
        for level in stack:
            os.close(level.folder)


def _waiting(stack: Sequence[_Level]) -> Iterator[Picked]:
    """Yield the folders that lead here and were not taken themselves."""
    for level in stack:
        if level.waiting is not None:
            level.waiting.implied = True
            yield level.waiting
            level.waiting = None


def _names(folder: int) -> list[bytes]:
    return sorted(map(os.fsencode, os.listdir(folder)), reverse=True)
