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
from boxship.build.files.tree import Node, Status, Tree
from boxship.build.ops import Copy
from boxship.kernel import paths
from boxship.lib import globs
from boxship.lib.ignore import NOTHING_MATCHED, Matcher
from boxship.snapshot import trees

WILD: Final = "*?["
NODE: Final = os.O_PATH | os.O_NOFOLLOW
PLAIN: Final = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS
NOWHERE: Final = -1  # instead of a folder's descriptor


@dataclass(slots=True)
class Picked:
    """A file that is taken: of which match, where beneath it, and what it is.

    `rel` is empty for the match itself. `folder` holds it and is valid until the next is asked
    for; what is in an archive has none, and `stat` is its node. A folder that only leads to what
    is taken is `implied`.
    """

    match: bytes
    rel: bytes
    folder: int
    name: bytes
    stat: Status
    implied: bool = False


class Picks:
    """What was picked, in order, with a look at what comes next."""

    def __init__(self, found: Iterator[Picked]) -> None:
        self._found = found
        self._ahead: Picked | None = None

    def __iter__(self) -> Iterator[Picked]:
        while True:
            one, self._ahead = self._ahead, None
            if one is None and (one := next(self._found, None)) is None:
                return
            yield one

    def beneath(self, rel: bytes) -> Iterator[Picked]:
        """Yield what comes next and lies beneath a path."""
        inside = rel + b"/"
        for one in self:
            if not one.rel.startswith(inside):
                self._ahead = one
                return
            yield one


def link_of(one: Picked) -> bytes:
    """Return what a symbolic link says."""
    if isinstance(one.stat, Node):
        return one.stat.link
    return os.readlink(one.name, dir_fd=one.folder)


@dataclass(frozen=True, slots=True)
class Match:
    """One file that the source names; `path` as it was asked for, `real` where it is."""

    path: bytes
    real: bytes


def matches(root: int | Tree, copy: Copy) -> list[Match]:
    """Return what a copy's source names, in order; NoSuchFile where it must name something.

    A pattern may be allowed to match nothing, but only in a folder that is there.
    """
    path = clean(copy.source)
    if not copy.wildcard or not any(char in path for char in WILD):
        return [Match(os.fsencode(path), _real(root, path, copy.follow_links))]
    fixed, pattern = _split(path)
    try:
        top = os.fsdecode(_real(root, fixed, follow=True))
    except NoSuchFile:
        if copy.allow_no_match:
            raise
        raise NoSuchFile(copy.source) from None
    found = [
        Match(os.fsencode(one), _real(root, one, copy.follow_links))
        for one in _expand(root, top, pattern)
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


def _expand(root: int | Tree, folder: str, pattern: Sequence[str]) -> Iterator[str]:
    """Yield the paths that match beneath a folder, in byte order; no link leads to a match."""
    for name in _listed(root, folder):
        if not globs.match(pattern[0], name):
            continue
        inner = f"{folder}/{name}" if folder else name
        if len(pattern) == 1:
            yield inner
        elif any(char in word for word in pattern[1:] for char in WILD):
            yield from _expand(root, inner, pattern[1:])
        else:
            rest = "/".join((inner, *pattern[1:]))
            if _there(root, rest):
                yield rest


def _listed(root: int | Tree, path: str) -> list[str]:
    """Return the names in a folder, in byte order; none where there is no such folder."""
    if isinstance(root, Tree):
        there = _node(root, path)
        names = (there.names or ()) if there is not None else ()
        return [os.fsdecode(name) for name in sorted(names)]
    try:
        folder = paths.openat2(root, os.fsencode(path) or b".", trees.FOLDER, 0, PLAIN)
    except OSError:
        return []
    try:
        return sorted(os.listdir(folder), key=os.fsencode)
    finally:
        os.close(folder)


def _there(root: int | Tree, path: str) -> bool:
    if isinstance(root, Tree):
        return _node(root, path) is not None
    try:
        os.close(paths.openat2(root, os.fsencode(path), NODE, 0, PLAIN))
    except OSError:
        return False
    return True


def _node(root: Tree, path: str) -> Node | None:
    """Return what is at a path, unless links lead there."""
    found = root.find(os.fsencode(path), follow=False)
    return found[1] if found is not None and found[0] == os.fsencode(path) else None


def _real(root: int | Tree, path: str, follow: bool) -> bytes:
    """Return where a path leads, without links but, unless they are followed, the last."""
    if isinstance(root, Tree):
        found = root.find(os.fsencode(path), follow=follow)
        if found is None:
            raise NoSuchFile("/" + path)
        return found[0]
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


def picked(root: int | Tree, match: Match, copy: Copy) -> Generator[Picked, None, None]:
    """Yield a match and all beneath it that is taken, folders before what they hold."""
    if isinstance(root, Tree):
        yield from _of_archive(root, match, copy)
        return
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


def _of_archive(tree: Tree, match: Match, copy: Copy) -> Iterator[Picked]:
    found = tree.find(match.real, follow=False)
    if found is None:
        raise NoSuchFile("/" + os.fsdecode(match.path))
    node = found[1]
    include, exclude = Matcher(copy.include), Matcher(copy.exclude)
    yield Picked(match.path, b"", NOWHERE, b"", node, implied=bool(include))
    if node.names is not None:
        if include or exclude:
            yield from _filtered(node, match.path, include, exclude)
        else:
            yield from _walked(node, match.path)


def _walked(top: Node, match: bytes) -> Iterator[Picked]:
    """Yield all that a folder of an archive holds, in the order of `trees.walk`."""
    assert top.names is not None
    stack = [(b"", iter(sorted(top.names.items(), key=_first)))]
    while stack:
        before, left = stack[-1]
        for name, node in left:
            rel = before + name
            yield Picked(match, rel, NOWHERE, name, node)
            if node.names is not None:
                stopping.check()
                stack.append((rel + b"/", iter(sorted(node.names.items(), key=_first))))
                break
        else:
            stack.pop()


def _first(item: tuple[bytes, Node]) -> bytes:
    return item[0]


@dataclass(slots=True)
class _Level:
    """A folder that is being walked; `waiting` until something in it is taken."""

    rel: bytes
    folder: int | Node
    names: list[bytes]
    included: Sequence[bool]
    excluded: Sequence[bool]
    waiting: Picked | None = None


def _filtered(
    top: int | Node, match: bytes, include: Matcher, exclude: Matcher
) -> Iterator[Picked]:
    opened = os.dup(top) if isinstance(top, int) else top
    stack = [_Level(b"", opened, _names(opened), NOTHING_MATCHED, NOTHING_MATCHED)]
    try:
        while stack:
            level = stack[-1]
            if not level.names:
                _close(stack.pop().folder)
                continue
            stopping.check()
            name = level.names.pop()
            status = _status(level.folder, name)
            rel = level.rel + b"/" + name if level.rel else name
            text = os.fsdecode(rel)
            taken, inner_included = include.below(text, level.included)
            taken = taken or not include
            left_out, inner_excluded = exclude.below(text, level.excluded)
            is_folder = stat.S_ISDIR(status.st_mode)
            at = level.folder if isinstance(level.folder, int) else NOWHERE
            found = Picked(match, rel, at, name, status)
            if taken and not left_out:
                yield from _waiting(stack)
                yield found
                found = Picked(match, rel, at, name, status)
            elif not is_folder or (left_out and exclude.prunes(text)):
                continue
            if is_folder:
                opened = _inside(level.folder, name)
                waits = None if taken and not left_out else found
                stack.append(
                    _Level(rel, opened, _names(opened), inner_included, inner_excluded, waits)
                )
    finally:
        for level in stack:
            _close(level.folder)


def _waiting(stack: Sequence[_Level]) -> Iterator[Picked]:
    """Yield the folders that lead here and were not taken themselves."""
    for level in stack:
        if level.waiting is not None:
            level.waiting.implied = True
            yield level.waiting
            level.waiting = None


def _names(folder: int | Node) -> list[bytes]:
    found = os.listdir(folder) if isinstance(folder, int) else folder.names or ()
    return sorted(map(os.fsencode, found), reverse=True)


def _status(folder: int | Node, name: bytes) -> Status:
    if isinstance(folder, int):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    assert folder.names is not None
    return folder.names[name]


def _inside(folder: int | Node, name: bytes) -> int | Node:
    if isinstance(folder, int):
        return os.open(name, trees.FOLDER, dir_fd=folder)
    assert folder.names is not None
    return folder.names[name]


def _close(folder: int | Node) -> None:
    if isinstance(folder, int):
        os.close(folder)
