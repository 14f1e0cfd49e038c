"""Whether an unpacked layer still is what its archive says: files by content, links by target."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final

from boxship.kernel.paths import open_in_root
from boxship.lib import compression
from boxship.snapshot.extract import WHITEOUT, clean
from boxship.wire import tar

CHUNK: Final = 1 << 20
Said = tuple[bytes, bytes]  # a type of wire.tar, and the digest of the content or the target


def differences(root: int, pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield the paths that are not as the layer says, which is packed in whatever way.

    `root` is a view in which the layer is on top. Hard links share what they point to and are
    checked there; times and owners are not looked at.
    """
    for path, said in _said(compression.unpacked(pieces)[1]).items():
        if _found(root, path, said[0]) != said:
            yield "/" + path.decode("utf-8", "replace")


def _said(content: Iterable[bytes]) -> dict[bytes, Said]:
    """Read what each path is to be; the last that is said of a path holds."""
    said: dict[bytes, Said] = {}
    reader = tar.Reader(content)
    for entry in reader:
        path = clean(entry.name)
        if path.rpartition(b"/")[2].startswith(WHITEOUT):
            continue
        if entry.type == tar.FILE and entry.holes is None:
            digest = hashlib.blake2b(digest_size=16)
            for piece in reader.content():
                digest.update(piece)
            said[path] = (tar.FILE, digest.digest())
        elif entry.type == tar.SYMLINK:
            said[path] = (tar.SYMLINK, entry.link)
        elif entry.type != tar.FOLDER:
            said.pop(path, None)
    return said


def _found(root: int, path: bytes, kind: bytes) -> Said | None:
    try:
        if kind == tar.SYMLINK:
            folder, _, name = path.rpartition(b"/")
            above = open_in_root(root, folder or b".", os.O_PATH | os.O_DIRECTORY)
            try:
                return tar.SYMLINK, os.readlink(name, dir_fd=above)
            finally:
                os.close(above)
        file = open_in_root(root, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        digest = hashlib.blake2b(digest_size=16)
        while piece := os.read(file, CHUNK):
            digest.update(piece)
        return tar.FILE, digest.digest()
    finally:
        os.close(file)
