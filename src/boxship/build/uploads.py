"""Contexts that came as archives: kept while their build runs, unpacked only when that is needed.

    <folder>/<id>/     0700; the archive's files, made beneath a descriptor, never by joined names

A plain archive is indexed while it arrives (`files.tree`): what copies take is looked up in the
index, and copied out of the archive. A step that needs a real folder has it unpacked. Any other
archive is unpacked at once, so that what is wrong with it is said before anything is built.

What a crash leaves is gone at the next start: nothing refers to it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Final, TypeVar

from boxship.build.dockerfile.parse import SIZE_LIMIT
from boxship.build.files.archive import Archive, extract, umask
from boxship.build.files.tree import KnownFiles, Spool, Tree, indexed
from boxship.build.sources.contexts import Contexts
from boxship.errors import InvalidRequest
from boxship.kernel import paths
from boxship.lib import compression, ignore
from boxship.lib.finishing import finished
from boxship.lib.pipe import Abandoned
from boxship.snapshot import trees

T = TypeVar("T")
SCHEME: Final = "context://"
MODE: Final = 0o700
Arrived = tuple[Tree | None, Spool]  # an archive; its index, unless it has to be unpacked
ABOVE: Final = "../"
USUAL_NAMES: Final = ("Dockerfile", "dockerfile")


class Uploads:
    """Keeps contexts; safe to use from any thread."""

    def __init__(
        self, folder: str, contexts: Contexts | None = None, known: KnownFiles | None = None
    ) -> None:
        self._folder = folder
        self._contexts = contexts
        self._known = known

    def start(self) -> None:
        """Make the folder anew, without what builds of an earlier daemon have left."""
        with suppress(OSError):
            trees.remove_path(self._folder)
        os.makedirs(self._folder, 0o700)

    def make(self) -> Upload:
        """Make an empty context."""
        id = secrets.token_hex(16)
        folder = f"{self._folder}/{id}"
        os.mkdir(folder, MODE)
        return Upload(id, folder)

    def unpack(self, pieces: Iterable[bytes], stop: Event | None = None) -> Upload:
        """Take in an archive, compressed or not; nothing is left of one that is faulty."""
        return self.made_of(self.arrived(pieces), stop)

    def arrived(self, pieces: Iterable[bytes]) -> Arrived:
        """Keep an archive, and index it while it arrives."""
        spool = Spool(self._folder)
        return indexed(compression.decompress(pieces), spool, MODE, umask(), self._known), spool

    def made_of(self, arrived: Arrived, stop: Event | None = None) -> Upload:
        """Make a context of an archive; Abandoned where it is unpacked when `stop` is set."""
        tree, spool = arrived
        if tree is None:
            upload = self.make()
            try:
                extract(_until(stop or Event(), spool.whole()), upload.folder)
            except BaseException:
                upload.remove()
                raise
            return upload
        id = secrets.token_hex(16)
        archive = Archive(tree, spool, f"{self._folder}/{id}")
        if self._contexts is not None:
            self._contexts.put(id, archive)
        return Upload(id, archive.folder, archive, self._contexts)

    async def take(self, pieces: Iterable[bytes]) -> Upload:
        """Take in an archive in a thread."""
        arrived = await asyncio.to_thread(self.arrived, pieces)
        return await made(lambda stop: self.made_of(arrived, stop), Upload.remove)


async def made(work: Callable[[Event], T], remove: Callable[[T], object]) -> T:
    """Have something made in a thread, which is told to stop when nobody wants it any more.

    What it has made by then is removed.
    """
    stop = Event()
    making = asyncio.get_running_loop().run_in_executor(None, work, stop)

    def let_go(making: asyncio.Future[T]) -> None:
        if not making.cancelled() and making.exception() is None:
            making.get_loop().run_in_executor(None, remove, making.result())

    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        stop.set()
        making.add_done_callback(let_go)
        raise


def _until(stop: Event, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if stop.is_set():
            raise Abandoned
        yield piece


class Upload:
    """One context."""

    def __init__(
        self,
        id: str,
        folder: str,
        archive: Archive | None = None,
        contexts: Contexts | None = None,
    ) -> None:
        self.id = id
        self._folder = folder
        self._archive = archive
        self._contexts = contexts
        self.is_alone = False  # whether there is nothing but a Dockerfile

    @property
    def folder(self) -> str:
        """The context as a folder."""
        if self._archive is not None:
            self._archive.unpack()
        return self._folder

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
        if self._archive is not None:
            data = self._archive.tree.read(os.fsencode(name), limit + 1)
        else:
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
        wanted = ignore.clean(asked)
        if f"{wanted}/".startswith(ABOVE):
            raise InvalidRequest(f"forbidden path outside the build context: {asked[:200]} ()")
        for name in (wanted,) if asked and not self.is_alone else USUAL_NAMES:
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
            if not matcher.ignores(path):
                continue
            if self._archive is not None:
                self._archive.hide(os.fsencode(path))
            else:
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

    async def give_back(self) -> None:
        """Remove it; in a thread if there is a folder, which may have any number of files."""
        if os.path.lexists(self._folder):
            await finished(self.remove)
        else:
            self.remove()

    def remove(self) -> None:
        """Give the context back."""
        if self._contexts is not None:
            self._contexts.drop(self.id)
        if self._archive is not None:
            self._archive.close()
        with suppress(OSError):
            trees.remove_path(self._folder)
