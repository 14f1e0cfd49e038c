"""Files here become a tar archive."""

from __future__ import annotations

import os
import stat

from boxship.wire.tar import FIFO, FILE, FOLDER, HARD_LINK, NANOSECOND, SYMLINK, Entry
from boxship.wire.tarwriter import END, body, header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxship.cli.copying.places import Plan

GATHER = 256 * 1024
CAPABILITY = "security.capability"


class Counter:
    """How many bytes have gone into an archive."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


def pack(path: str, plan: Plan, counter: Counter) -> Iterator[bytes]:
    """Yield the archive of what is at `path`, in pieces of a good size to send.

    Its first name is the path's own, or `plan.new` in the place of `plan.old`.
    """
    from boxship.cli.copying.places import split_entry

    folder, name = split_entry(path)
    shown = plan.new if plan.new and name == plan.old else name
    found: list[bytes] = []
    size = 0
    for piece in _pieces(os.path.join(folder, name), os.fsencode(shown)):
        found.append(piece)
        size += len(piece)
        if size >= GATHER:
            counter.size += size
            yield b"".join(found)
            found, size = [], 0
    counter.size += size + len(END)
    yield b"".join([*found, END])


def _pieces(path: str, name: bytes) -> Iterator[bytes]:
    linked: dict[tuple[int, int], bytes] = {}
    yield from _one(os.fsencode(path), name, linked)


def _one(path: bytes, name: bytes, linked: dict[tuple[int, int], bytes]) -> Iterator[bytes]:
    status = os.lstat(path)
    entry = Entry(
        name,
        FILE,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        0,
        status.st_mtime_ns // NANOSECOND * NANOSECOND,
    )
    match stat.S_IFMT(status.st_mode):
        case stat.S_IFDIR:
            entry.type = FOLDER
            entry.name = name + b"/"
            yield header(entry)
            with os.scandir(path) as entries:
                names = sorted(found.name for found in entries)
            for inner in names:
                yield from _one(path + b"/" + inner, name + b"/" + inner, linked)
        case stat.S_IFLNK:
            entry.type = SYMLINK
            entry.link = os.readlink(path)
            yield header(entry)
        case stat.S_IFREG:
            key = (status.st_dev, status.st_ino)
            if status.st_nlink > 1 and key in linked:
                entry.type, entry.link = HARD_LINK, linked[key]
                yield header(entry)
                return
            linked[key] = name
            entry.size = status.st_size
            _keep_capability(path, entry)
            yield header(entry)
            yield from body(_content(path), entry.size)
        case stat.S_IFIFO:
            entry.type = FIFO
            yield header(entry)
        case _:
            return  # sockets and devices are not content


def _content(path: bytes) -> Iterator[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        while data := os.read(descriptor, GATHER):
            yield data
    finally:
        os.close(descriptor)


def _keep_capability(path: bytes, entry: Entry) -> None:
    try:
        value = os.getxattr(path, CAPABILITY, follow_symlinks=False)
    except OSError:
        return
    entry.xattrs[CAPABILITY.encode()] = value
