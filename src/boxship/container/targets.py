"""What a path means in a container: which file, by which name, and what is told of it.

A path is relative to the root folder. A link at its end is meant itself, unless a slash or `/.`
follows; every link before that is followed inside the root.
"""

from __future__ import annotations

import os
import posixpath
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from boxship.container.errors import NoSuchFile
from boxship.errors import InvalidRequest
from boxship.kernel import paths

FOLDER: Final = os.O_PATH | os.O_DIRECTORY
# Go's os.FileMode: the bits beside the nine permissions.
KINDS: Final = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFREG: 0,
}
EXTRA: Final = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


@dataclass(frozen=True, slots=True)
class Target:
    """A file that was found. `descriptor` is the folder itself, or the folder that holds it."""

    name: str  # as the entry of an archive is called
    status: os.stat_result
    link: str  # where a link leads in the end, as a path in the container
    descriptor: int
    entry: bytes  # its name in that folder

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


def find(root: int, path: str, container: str, undo: ExitStack) -> Target:
    """Find what is at `path`; its descriptor lives until `undo`."""
    where = normal(path)
    follows = where.endswith(("/", "/."))
    try:
        if follows:
            folder, name = paths.open_in_root(root, where, FOLDER), b"."
        else:
            folder, name = paths.parent_and_name(root, where)
        undo.callback(os.close, folder)
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) and name != b".":
            folder = os.open(name, FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            undo.callback(os.close, folder)
            status = os.fstat(folder)
    except FileNotFoundError:
        raise NoSuchFile(path, container) from None
    except OSError as failure:
        raise InvalidRequest(f"{path}: {_reason(failure)}") from failure
    link = _final(root, where) if stat.S_ISLNK(status.st_mode) else ""
    return Target(base(where), status, link, folder, name)


def open_folder(root: int, path: str, container: str, undo: ExitStack) -> int:
    """Open the folder at `path`, a link to one included."""
    try:
        folder = paths.open_in_root(root, normal(path), FOLDER)
    except FileNotFoundError:
        raise NoSuchFile(path, container) from None
    except NotADirectoryError:
        raise InvalidRequest("extraction point is not a directory") from None
    except OSError as failure:
        raise InvalidRequest(f"{path}: {_reason(failure)}") from failure
    undo.callback(os.close, folder)
    return folder


def _reason(failure: OSError) -> str:
    return os.strerror(failure.errno or 0).lower()


def normal(path: str) -> str:
    """Return an absolute path in one spelling, but for the slash or `/.` that may end it."""
    cleaned = "/" + posixpath.normpath("/" + path).lstrip("/")
    if path.endswith("/.") or path == ".":
        return cleaned.rstrip("/") + "/."
    if path.endswith("/") and cleaned != "/":
        return cleaned + "/"
    return cleaned


def base(path: str) -> str:
    """Return the last name of a path; that of the root is a slash."""
    return path.rstrip("/").rpartition("/")[2] or "/"


def go_mode(mode: int) -> int:
    """Return a mode as Go has it."""
    extra = sum(bit for ours, bit in EXTRA if mode & ours)
    return (mode & 0o777) | KINDS.get(stat.S_IFMT(mode), 0) | extra


def _final(root: int, path: str) -> str:
    """Follow all links of a path, as far as there is something; the answer is for people."""
    words = [word for word in reversed(path.split("/")) if word not in ("", ".")]
    done: list[str] = []
    links = 0
    while words:
        word = words.pop()
        if word == "..":
            done = done[:-1]
            continue
        target = _link(root, done, word) if links < paths.MOST_LINKS else None
        if target is None:
            done.append(word)
            continue
        links += 1
        if target.startswith("/"):
            done = []
        words += [word for word in reversed(target.split("/")) if word not in ("", ".")]
    return "/" + "/".join(done)


def _link(root: int, folder: list[str], name: str) -> str | None:
    try:
        opened = paths.open_in_root(root, "/".join(folder) or ".", FOLDER)
    except OSError:
        return None
    try:
        return os.readlink(name, dir_fd=opened)
    except OSError:
        return None
    finally:
        os.close(opened)
