"""Contexts that came as archives: each unpacked into a folder of its own while its build runs.

    <folder>/<id>/     0700; the archive's files, made beneath a descriptor, never by joined names

What a crash leaves is gone at the next start: nothing refers to it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from boxship.build.dockerfile.parse import SIZE_LIMIT
from boxship.errors import InvalidRequest, NotFound
from boxship.kernel import paths
from boxship.lib import compression, ignore
from boxship.snapshot.extract import Extraction, Whiteouts

SCHEME: Final = "context://"
USUAL_NAMES: Final = ("Dockerfile", "dockerfile")


class Uploads:
    """Keeps contexts; safe to use from any thread."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def start(self) -> None:
        """Make the folder anew, without what builds of an earlier daemon have left."""
        shutil.rmtree(self._folder, ignore_errors=True)
        os.makedirs(self._folder, 0o700)

    def make(self) -> Upload:
        """Make an empty context."""
        id = secrets.token_hex(16)
        folder = f"{self._folder}/{id}"
        os.mkdir(folder, 0o700)
        return Upload(id, folder)

    def unpack(self, pieces: Iterable[bytes]) -> Upload:
        """Unpack an archive, compressed or not; nothing is left of one that is faulty."""
        with ExitStack() as undo:
            upload = self.make()
            undo.callback(upload.remove)
            with upload.root() as root:
                extraction = Extraction(root, Whiteouts.LITERAL)
                try:
                    extraction.extract(compression.decompress(pieces))
                finally:
                    extraction.close()
            undo.pop_all()
        return upload

    def folder_of(self, identifier: str) -> str:
        """Return the folder of `context://ID`."""
        id = identifier.removeprefix(SCHEME)
        folder = f"{self._folder}/{id}"
        if not (id.isascii() and id.isalnum()) or not os.path.isdir(folder):
            raise NotFound(f"no such build context: {id[:100]}")
        return folder


class Upload:
    """One context."""

    def __init__(self, id: str, folder: str) -> None:
        self.id = id
        self.folder = folder
        self.is_alone = False  # whether there is nothing but a Dockerfile

    @property
    def identifier(self) -> str:
        """How a source names it."""
        return SCHEME + self.id

    @contextmanager
    def root(self) -> Iterator[int]:
        """The folder's descriptor."""
        fd = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def read(self, name: str, limit: int) -> bytes | None:
        """Return a file's content; None where there is no such file. No link leads outside."""
        with self.root() as root:
            data = paths.read_file_in_root(root, name.lstrip("/"), limit + 1)
        if data is not None and len(data) > limit:
            raise InvalidRequest(f"{name} is larger than {limit} bytes")
        return data

    def dockerfile(self, asked: str) -> tuple[str, bytes]:
        """Return the Dockerfile's name and content.

        As with Docker, a Dockerfile or a `.dockerignore` that the patterns leave out is read
        first and then taken from the context.
        """
        for name in (asked,) if asked and not self.is_alone else USUAL_NAMES:
            found = self.read(name, SIZE_LIMIT)
            if found is not None:
                self._hide(name)
                return name, found
        raise InvalidRequest(f"Cannot locate specified Dockerfile: {asked or USUAL_NAMES[0]}")

    def _hide(self, dockerfile: str) -> None:
        patterns = self.read(ignore.NAME, ignore.SIZE_LIMIT)
        if patterns is None:
            return
        matcher = ignore.Matcher(ignore.read(patterns))
        for name in (ignore.NAME, dockerfile):
            path = ignore.clean(name).lstrip("/")
            if matcher.ignores(path):
                with self.root() as root, suppress(FileNotFoundError):
                    folder, last = paths.parent_and_name(root, path)
                    try:
                        os.unlink(last, dir_fd=folder)
                    finally:
                        os.close(folder)

    def left_out(self, dockerfile: str) -> ignore.Matcher | None:
        """Return what is left out of the context; a file of the Dockerfile's own wins."""
        for name in (ignore.file_for(dockerfile), ignore.NAME):
            data = self.read(name, ignore.SIZE_LIMIT)
            if data is not None:
                return ignore.Matcher(ignore.read(data))
        return None

    def write(self, name: str, data: bytes) -> None:
        """Put a new file into the context's root."""
        with open(f"{self.folder}/{name}", "xb") as file:
            file.write(data)

    def remove(self) -> None:
        """Give the context back."""
        shutil.rmtree(self.folder, ignore_errors=True)
