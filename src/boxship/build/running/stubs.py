"""Mount points that a process's mounts need and its image has not: taken out again afterwards.

They must not become part of the result. The process may have replaced anything meanwhile, by
links to anywhere: no link is followed, and only what is an empty folder or file goes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from boxship.kernel import paths
from boxship.kernel.paths import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

WITHIN = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
FOLDER = os.O_PATH | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class Stub:
    """What will be made: `path` and, above it, all down from the first `kept` words.

    `times` are those of the folder that they are made in, in nanoseconds.
    """

    words: tuple[bytes, ...]
    kept: int
    times: tuple[int, int]


def missing(root: int, targets: Iterable[str]) -> list[Stub]:
    """Return what is not there of the mount points, before anything is mounted."""
    found: list[Stub] = []
    for target in targets:
        words = tuple(w for w in os.fsencode(target).split(b"/") if w not in (b"", b"."))
        if b".." in words:
            continue  # the runtime resolves it, and leaves what it makes
        stub = _missing(root, words)
        if stub is not None:
            found.append(stub)
    return found


def _missing(root: int, words: tuple[bytes, ...]) -> Stub | None:
    for count in range(len(words), -1, -1):
        try:
            there = paths.open_in_root(root, b"/".join(words[:count]) or b".", os.O_PATH)
        except OSError:
            continue
        try:
            if count == len(words):
                return None
            status = os.fstat(there)
            real = _real(root, there)
        finally:
            os.close(there)
        return Stub((*real, *words[count:]), len(real), (status.st_atime_ns, status.st_mtime_ns))
    return None


def _real(root: int, there: int) -> tuple[bytes, ...]:
    """Return where an open folder really is beneath the root, all links followed."""
    top = os.readlink(f"/proc/self/fd/{root}".encode())
    path = os.readlink(f"/proc/self/fd/{there}".encode())
    if top != b"/" and path.startswith(top):
        path = path[len(top) :]
    return tuple(word for word in path.split(b"/") if word)


def remove(root: int, stubs: Iterable[Stub]) -> None:
    """Take out what is still as it was made."""
    for stub in reversed(list(stubs)):
        for count in range(len(stub.words), stub.kept, -1):
            if not _remove_one(root, stub.words[:count]):
                break
        with suppress(OSError):
            above = openat2(root, b"/".join(stub.words[: stub.kept]) or b".", FOLDER, 0, WITHIN)
            try:
                os.utime(f"/proc/self/fd/{above}", ns=stub.times)
            finally:
                os.close(above)


def _remove_one(root: int, words: tuple[bytes, ...]) -> bool:
    """Remove one name if it is an empty folder or file; say whether it has gone."""
    try:
        above = openat2(root, b"/".join(words[:-1]) or b".", FOLDER, 0, WITHIN)
    except OSError:
        return False
    try:
        status = os.stat(words[-1], dir_fd=above, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(words[-1], dir_fd=above)
        elif stat.S_ISREG(status.st_mode) and not status.st_size:
            os.unlink(words[-1], dir_fd=above)
        else:
            return False
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(above)
