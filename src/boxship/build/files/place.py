"""Where things go in a result: paths resolved beneath its root, folders made on the way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from boxship.build.files.select import PLAIN, clean
from boxship.errors import InvalidRequest
from boxship.kernel.paths import RESOLVE_BENEATH, openat2
from boxship.snapshot import trees

MOST_LINKS: Final = 40
LATEST: Final = (1 << 33) * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Given:
    """What new files are given; None keeps what was, or is root's for what is made new."""

    uid: int | None = None
    gid: int | None = None
    time: int = -1

    @property
    def ids(self) -> tuple[int, int]:
        """The owner of what is made new."""
        return self.uid or 0, self.gid or 0


def resolve(root: int, path: str) -> bytes:
    """Return where a path leads beneath `root`, links followed, whether or not it exists."""
    words = [os.fsencode(word) for word in reversed(clean(path).split("/")) if word]
    done: list[bytes] = []
    links = 0
    while words:
        word = words.pop()
        if word in (b"", b"."):
            continue
        if word == b"..":
            done = done[:-1]
            continue
        said = _link(root, [*done, word])
        if said is None:
            done.append(word)
            continue
        links += 1
        if links > MOST_LINKS:
            raise InvalidRequest(f"{path}: too many levels of symbolic links")
        if said.startswith(b"/"):
            done = []
        words += reversed(said.split(b"/"))
    return b"/".join(done)


def _link(root: int, words: Sequence[bytes]) -> bytes | None:
    """Return what a link says; None where there is none."""
    try:
        there = openat2(root, b"/".join(words), os.O_PATH | os.O_NOFOLLOW, 0, RESOLVE_BENEATH)
    except OSError:
        return None
    try:
        return os.readlink(b"", dir_fd=there)
    except OSError:
        return None
    finally:
        os.close(there)


def folder(root: int, path: bytes) -> int:
    """Open a folder whose path was resolved."""
    return openat2(root, path or b".", trees.FOLDER, 0, PLAIN)


def make_folders(root: int, path: bytes, given: Given, mode: int = 0o755) -> int:
    """Open a folder whose path was resolved, making what is missing of it."""
    here = os.open(".", trees.FOLDER, dir_fd=root)
    try:
        for word in path.split(b"/") if path else ():
            try:
                inner = openat2(here, word, trees.FOLDER, 0, PLAIN)
            except FileNotFoundError:
                os.mkdir(word, mode & 0o777, dir_fd=here)
                inner = openat2(here, word, trees.FOLDER, 0, PLAIN)
                os.fchown(inner, *given.ids)
                os.fchmod(inner, mode)
                if given.time >= 0:
                    os.utime(inner, ns=(given.time, given.time))
            except NotADirectoryError:
                raise InvalidRequest(f"/{os.fsdecode(path)}: not a directory") from None
            os.close(here)
            here = inner
    except BaseException:
        os.close(here)
        raise
    return here


def status(at: int, name: bytes) -> os.stat_result | None:
    """Return what a name is, without following it."""
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return None
