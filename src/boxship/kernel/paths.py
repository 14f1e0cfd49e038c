"""Paths inside a root that somebody else controls.

Everything is resolved by the kernel beneath a folder descriptor (openat2, RESOLVE_IN_ROOT):
absolute links and `..` stay inside, and links of /proc (magic links) are refused. A path may be
given with or without its leading slash.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from typing import Final

from boxship.kernel.syscalls import syscall

RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10
CONFINED: Final = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS

HOW: Final = struct.Struct("QQQ")
MOST_LINKS: Final = 40  # as many as the kernel itself follows
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY


def openat2(folder: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
    """openat2(2); EAGAIN, which a rename elsewhere may cause, is tried again."""
    how = HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    for _ in range(100):
        try:
            return syscall("openat2", folder, path, how, HOW.size, about=os.fsdecode(path))
        except BlockingIOError:
            continue
    raise OSError(errno.EAGAIN, f"{os.fsdecode(path)}: the tree keeps changing")


def open_in_root(
    root: int, path: str | bytes, flags: int, mode: int = 0, *, resolve: int = CONFINED
) -> int:
    """Open `path` as a process whose root folder is `root` would see it."""
    return openat2(root, os.fsencode(path) or b".", flags, mode, resolve)


def read_file_in_root(root: int, path: str | bytes, limit: int) -> bytes | None:
    """Return the first `limit` bytes of a regular file; None where there is no such file.

    Never waits (a FIFO is not a file here) and never reads more than it was asked for.
    """
    try:
        file = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as failure:
        if failure.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EACCES):
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        parts, left = [], limit
        while left > 0 and (part := os.read(file, min(left, 1 << 20))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(file)


def parent_and_name(root: int, path: str | bytes) -> tuple[int, bytes]:
    """Return the folder that holds `path` (O_PATH) and the last name, which is not resolved.

    The root itself is the folder and the name `.`.
    """
    words = _words(os.fsencode(path))
    if not words or words[-1] == b"..":
        return open_in_root(root, path, _FOLDER), b"."
    return open_in_root(root, b"/".join(words[:-1]) or b".", _FOLDER), words[-1]


def make_folders_in_root(
    root: int, path: str | bytes, mode: int = 0o755, *, owner: tuple[int, int] | None = None
) -> int:
    """Return the folder `path` (O_PATH), making what is missing.

    A link that leads nowhere is followed inside the root, and its target made.
    """
    with contextlib.suppress(FileNotFoundError):
        return open_in_root(root, path, _FOLDER)
    words, done, links = _words(os.fsencode(path)), list[bytes](), 0
    words.reverse()
    here = os.dup(root)
    try:
        while words:
            word = words.pop()
            if word == b"..":
                done = done[:-1]
                here = _enter(root, here, b"/".join(done))
                continue
            try:
                os.mkdir(word, mode, dir_fd=here)
                if owner:
                    os.chown(word, *owner, dir_fd=here, follow_symlinks=False)
            except FileExistsError:
                target = _link(here, word)
                if target is not None:
                    links += 1
                    if links > MOST_LINKS:
                        raise OSError(errno.ELOOP, os.fsdecode(path)) from None
                    words.extend(reversed(_words(target)))
                    if target.startswith(b"/"):
                        done = []
                        here = _enter(root, here, b"")
                    continue
            done.append(word)
            here = _enter(root, here, b"/".join(done))
        return here
    except BaseException:
        os.close(here)
        raise


def make_file_in_root(root: int, path: str | bytes, mode: int = 0o644) -> int:
    """Return the file `path` (O_PATH), making it, empty, and its folders when missing."""
    with contextlib.suppress(FileNotFoundError):
        return open_in_root(root, path, os.O_PATH)
    wanted = os.fsencode(path)
    for _ in range(MOST_LINKS):
        before, _, name = wanted.rstrip(b"/").rpartition(b"/")
        folder = make_folders_in_root(root, before or b".")
        try:
            target = _link(folder, name)
            if target is not None:  # it leads nowhere yet: make what it leads to
                wanted = target if target.startswith(b"/") else before + b"/" + target
                with contextlib.suppress(FileNotFoundError):
                    return open_in_root(root, wanted, os.O_PATH)
                continue
            flags = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
            made = openat2(folder, name, flags, mode, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH)
            os.close(made)
            return openat2(folder, name, os.O_PATH, 0, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH)
        finally:
            os.close(folder)
    raise OSError(errno.ELOOP, os.fsdecode(path))


def _words(path: bytes) -> list[bytes]:
    return [word for word in path.split(b"/") if word not in (b"", b".")]


def _link(folder: int, name: bytes) -> bytes | None:
    """Return where the link `name` leads; None when it is no link or does not exist."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as failure:
        if failure.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _enter(root: int, left: int, path: bytes) -> int:
    """Open a folder and leave the one we were in."""
    entered = open_in_root(root, path or b".", _FOLDER)
    os.close(left)
    return entered
