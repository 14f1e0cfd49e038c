"""A context as an archive with an index, and as a folder once somebody wants one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Protocol

from boxship.build.files.tree import Spool, Tree
from boxship.errors import NotFound
from boxship.kernel import paths
from boxship.snapshot import trees
from boxship.snapshot.extract import Extraction, Whiteouts

FEW: Final = 200


class Indexed(Protocol):
    """Files that are looked up in an index."""

    tree: Tree

    @property
    def is_small(self) -> bool:
        """Whether all that is in it can be looked at in no time."""

    def unpack(self) -> None:
        """Have the files as a folder."""

    def then(self, work: Callable[[], object]) -> None:
        """Have something done when the build that brought them has ended."""


class Archive:
    """Safe to use from any thread."""

    def __init__(self, tree: Tree, spool: Spool, folder: str) -> None:
        self.tree = tree
        self._spool = spool
        self.folder = folder
        self._hidden: list[bytes] = []
        self._turn = threading.Lock()
        self._unpacked = False
        self._closed = False
        self._then: list[Callable[[], object]] = []

    @property
    def is_small(self) -> bool:
        """Whether all that is in it can be looked at in no time."""
        return self.tree.count <= FEW

    def hide(self, path: bytes) -> None:
        """Take a file away."""
        with self._turn:
            where = self.tree.remove(path)
            if where is None:
                return
            self._hidden.append(where)
            if self._unpacked:
                self._take_away(where)

    def unpack(self) -> None:
        """Make the folder, if nobody has yet."""
        with self._turn:
            if self._closed:
                raise NotFound("the build that brought this context has ended")
            if self._unpacked:
                return
            os.mkdir(self.folder, 0o700)
            try:
                extract(self._spool.whole(), self.folder)
                for path in self._hidden:
                    self._take_away(path)
            except BaseException:
                with suppress(OSError):
                    trees.remove_path(self.folder)
                raise
            self._unpacked = True

    def _take_away(self, path: bytes) -> None:
        root = os.open(self.folder, trees.FOLDER)
        try:
            folder, name = paths.parent_and_name(root, path)
            try:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
            finally:
                os.close(folder)
        finally:
            os.close(root)

    def close(self) -> None:
        """Nothing is unpacked any more; who reads the archive itself may go on."""
        with self._turn:
            self._closed = True
            then, self._then = self._then, []
        for work in then:
            work()

    def then(self, work: Callable[[], object]) -> None:
        """Have something done when the build that brought it has ended."""
        with self._turn:
            if not self._closed:
                self._then.append(work)
                return
        work()


def extract(pieces: Iterable[bytes], folder: str) -> None:
    """Unpack an archive into an empty folder."""
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        extraction = Extraction(root, Whiteouts.LITERAL)
        try:
            extraction.extract(pieces)
        finally:
            extraction.close()
    finally:
        os.close(root)


def umask() -> int:
    """Return the process's umask, which can otherwise only be read by changing it."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022
