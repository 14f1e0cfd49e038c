"""BuildKit's file transfer, without a socket: packets, modes, the order of paths.

    sender                          receiver
    STAT path… (sorted), STAT {} ─▶             an empty STAT ends the list
                               ◀─ REQ id        for each file that is wanted; ids count the STATs
    DATA id bytes…, DATA id ""  ─▶              no bytes end the file
                               ◀─ FIN
    FIN                         ─▶              or ERR with a message, from either side

Modes are Go's os.FileMode bits and not those of stat(2). Paths are relative, without `.` and
`..`, and come in the order in which `/` is the lowest byte: a folder comes before what is in it,
and its contents before what follows it. A regular file with a link name is a hard link.
"""

from __future__ import annotations

import stat
from enum import IntEnum
from typing import Final, Protocol

from boxship.errors import InvalidRequest

DATA_SIZE: Final = 32 << 10
PATH_LIMIT: Final = 4096


class Kind(IntEnum):
    """What a packet is."""

    STAT = 0
    REQ = 1
    DATA = 2
    FIN = 3
    ERR = 4


class BadTransfer(InvalidRequest):
    """The other side breaks the rules of the transfer, or sends what would leave the folder."""


class Said(Protocol):
    """What a sender says of a file."""

    uid: int
    gid: int
    size: int
    mod_time: int
    linkname: bytes


class Seen(Protocol):
    """Who keeps an index of what a folder holds is told of it, in the order of the protocol."""

    def folder(self, path: bytes, mode: int, said: Said) -> None:
        """A folder is there."""

    def link(self, path: bytes, mode: int, said: Said) -> None:
        """A symbolic link is there."""

    def file(self, path: bytes, mode: int, said: Said, number: int, *, same: bool) -> None:
        """A file is there, as it was, or what it holds is to come."""

    def data(self, number: int, data: bytes) -> None:
        """Some of a file has come; nothing is its end."""

    def other(self) -> None:
        """Something else is there: a second name, a FIFO, attributes."""


DIR: Final = 1 << 31
SYMLINK: Final = 1 << 27
DEVICE: Final = 1 << 26
PIPE: Final = 1 << 25
SOCKET: Final = 1 << 24
SETUID: Final = 1 << 23
SETGID: Final = 1 << 22
CHAR_DEVICE: Final = 1 << 21
STICKY: Final = 1 << 20
IRREGULAR: Final = 1 << 19
TYPE: Final = DIR | SYMLINK | DEVICE | PIPE | SOCKET | CHAR_DEVICE | IRREGULAR

_TYPES: Final = (
    (DIR, stat.S_IFDIR),
    (SYMLINK, stat.S_IFLNK),
    (DEVICE | CHAR_DEVICE, stat.S_IFCHR),
    (DEVICE, stat.S_IFBLK),
    (PIPE, stat.S_IFIFO),
    (SOCKET, stat.S_IFSOCK),
    (0, stat.S_IFREG),
)
_BITS: Final = ((SETUID, stat.S_ISUID), (SETGID, stat.S_ISGID), (STICKY, stat.S_ISVTX))
_UNIX_OF_GO: Final = dict(_TYPES)
_GO_OF_UNIX: Final = {unix: go for go, unix in _TYPES}


def to_unix(mode: int) -> int:
    """Return Go's mode as stat(2) has it."""
    try:
        unix = _UNIX_OF_GO[mode & TYPE]
    except KeyError:
        raise BadTransfer(f"a file of unknown type: mode {mode:#x}") from None
    for go, bit in _BITS:
        if mode & go:
            unix |= bit
    return unix | mode & 0o777


def to_go(mode: int) -> int:
    """Return a mode of stat(2) as Go has it."""
    go = _GO_OF_UNIX[stat.S_IFMT(mode)]
    for mark, bit in _BITS:
        if mode & bit:
            go |= mark
    return go | mode & 0o777


def order(path: bytes) -> bytes:
    """Return what paths are compared by."""
    return path.replace(b"/", b"\0")


def split(path: bytes) -> list[bytes]:
    """Return the names of a path; BadTransfer when it is not plain and relative."""
    names = path.split(b"/")
    if b"\0" in path or len(path) > PATH_LIMIT or any(n in (b"", b".", b"..") for n in names):
        raise BadTransfer(f"invalid path in a transfer: {path[:200]!r}")
    return names
