"""What files are, as a digest: everything that a copy of them would take over, but for times.

entry     kind, permissions, owner, path, size, link target, device, extended attributes
content   the digest of a file's bytes, remembered while its inode says it has not changed
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from boxship.build.files import select
from boxship.build.files.select import Picked, link_of
from boxship.build.files.tree import Node
from boxship.build.filesystems import Files, Filesystems, Value
from boxship.build.ops import Bind, Copy
from boxship.snapshot.driver import ChainId

READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
MOST_KNOWN: Final = 500_000
MOST_SELECTIONS: Final = 20_000
CHUNK: Final = 1 << 20
OVERLAY: Final = "trusted.overlay."

Stamp = tuple[int, int, int, int]


class Digests:
    """Works them out; safe to use from any thread."""

    def __init__(self, filesystems: Filesystems) -> None:
        self._filesystems = filesystems
        self._turn = threading.Lock()
        self._known: dict[tuple[int, int], tuple[Stamp, bytes]] = {}
        self._selections: dict[tuple[ChainId | None, bytes], str] = {}

    def is_quick(self, value: Value) -> bool:
        """Whether what is taken of a value is known without a thread to wait for a disk in."""
        return isinstance(value, Files) and value.archive is not None and value.archive.is_small

    def of_copy(self, value: Value, copy: Copy) -> str:
        """Return the digest of what a copy takes."""
        asked = msgspec.msgpack.encode(
            (
                copy.source,
                copy.include,
                copy.exclude,
                copy.follow_links,
                copy.wildcard,
                copy.allow_no_match,
                copy.required,
            )
        )
        return self._of(value, asked, copy)

    def of_mount(self, value: Value, mount: Bind) -> str:
        """Return the digest of what a process sees through a read-only mount."""
        whole = Copy(mount.selector or "/", "/", follow_links=True)
        return self._of(value, b"mount\0" + os.fsencode(mount.selector), whole)

    def _of(self, value: Value, asked: bytes, copy: Copy) -> str:
        """Results of layers do not change: what was found out of them stays so."""
        if isinstance(value, Files):
            return self._selected(value, copy)
        key = (value.chain, asked)
        with self._turn:
            if (known := self._selections.get(key)) is not None:
                return known
        found = self._selected(value, copy)
        with self._turn:
            if len(self._selections) >= MOST_SELECTIONS:
                self._selections.clear()
            self._selections[key] = found
        return found

    def _selected(self, value: Value, copy: Copy) -> str:
        total = hashlib.sha256()
        lasting = isinstance(value, Files)
        with self._filesystems.reading(value) as root:
            for required in copy.required:
                select.matches(root, Copy(required, "", follow_links=True))
            for match in select.matches(root, copy):
                base = match.path.rpartition(b"/")[2]
                total.update(b"match %d %s\0" % (len(base), base))
                self._add_all(total, select.picked(root, match, copy), lasting)
        return total.hexdigest()

    def _add_all(self, total: hashlib._Hash, found: Iterable[Picked], lasting: bool) -> None:
        links: dict[tuple[int, int], bytes] = {}
        for one in found:
            status = one.stat
            kind = stat.S_IFMT(status.st_mode)
            more = b""
            if kind == stat.S_IFREG:
                if status.st_nlink > 1:
                    first = links.setdefault((status.st_dev, status.st_ino), one.rel)
                    more = b"link " + first if first != one.rel else b""
                more = more or self._content(one, lasting)
            elif kind == stat.S_IFLNK:
                more = link_of(one)
            elif kind in (stat.S_IFCHR, stat.S_IFBLK):
                more = b"%d" % status.st_rdev
            if one.implied:
                total.update(b"%d %s/\0" % (len(one.rel), one.rel))
                continue
            total.update(
                b"%o %d %d %d %d %s\0%s"
                % (
                    status.st_mode,
                    status.st_uid,
                    status.st_gid,
                    len(more),
                    len(one.rel),
                    one.rel,
                    more,
                )
            )

    def _content(self, one: Picked, lasting: bool) -> bytes:
        """Return the digest of a file's bytes and attributes."""
        status = one.stat
        if isinstance(status, Node):
            return status.digest
        identity = (status.st_dev, status.st_ino)
        stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)
        if lasting and (known := self._known.get(identity)) is not None and known[0] == stamp:
            return known[1]
        file = os.open(one.name, READ, dir_fd=one.folder)
        try:
            found = hash_file(file, status.st_size)
        finally:
            os.close(file)
        if lasting:
            with self._turn:
                if len(self._known) >= MOST_KNOWN:
                    self._known.clear()
                self._known[identity] = (stamp, found)
        return found

    def learn(self, status: os.stat_result, digest: bytes) -> None:
        """Take note of what a file without attributes holds, which somebody has hashed before."""
        stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)
        with self._turn:
            if len(self._known) < MOST_KNOWN:
                self._known[status.st_dev, status.st_ino] = (stamp, digest)


def hash_file(file: int, size: int) -> bytes:
    """Return the digest of an open file's bytes, and of its attributes where it has any."""
    digest = hashlib.sha256()
    if size <= CHUNK:
        while data := os.read(file, CHUNK):
            digest.update(data)
            if len(data) < CHUNK and len(data) >= size:
                break
    else:
        while data := os.read(file, CHUNK):
            digest.update(data)
    attributes = [name for name in os.listxattr(file) if not name.startswith(OVERLAY)]
    if not attributes:
        return digest.digest()
    both = hashlib.sha256(digest.digest())
    for name in sorted(attributes):
        both.update(b"\0" + os.fsencode(name) + b"\0" + os.getxattr(file, name))
    return both.digest()


def joined(kind: str, parts: Sequence[str]) -> str:
    """Return one key for several."""
    return hashlib.sha256("\0".join((kind, *parts)).encode("utf-8", "surrogateescape")).hexdigest()
