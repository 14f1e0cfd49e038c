"""Files in and out of a container: `docker cp`, `docker export`, `docker diff`.

Whoever asks may be up against a program in the container that swaps folders and links all the
time. Every name is resolved by the kernel inside the container's root, once, and what was found
is used by its descriptor. Nothing of the container is executed or loaded, and archives are
unpacked from their compression by the engine's own code.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import posixpath
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from boxship.container import roots
from boxship.container.bundle import FILES
from boxship.container.containers import Containers
from boxship.container.errors import NoSuchFile
from boxship.container.lifecycle import State
from boxship.container.record import Container, MountPoint
from boxship.container.registry import Cell
from boxship.container.roots import Attached, ProcessGone, View
from boxship.container.shared_roots import SharedRoots
from boxship.container.spool import Spool
from boxship.container.targets import Target, find, open_folder
from boxship.container.trees import Trees
from boxship.container.users import Accounts
from boxship.errors import Conflict, Forbidden, InvalidRequest
from boxship.lib import compression
from boxship.lib.finishing import undisturbed
from boxship.lib.pipe import Abandoned, Pipe
from boxship.lib.threads import Tell, performed
from boxship.snapshot import pack
from boxship.snapshot.driver import Change
from boxship.snapshot.extract import Extraction, Whiteouts
from boxship.wire import tar

PIECE: Final = 1 << 18
ATTEMPTS: Final = 3
ENDING: Final = 10.0  # seconds until a process that has ended is known to have

T = TypeVar("T")
Open = Callable[[ExitStack], View]


@dataclass(frozen=True, slots=True)
class Way:
    """How files are reached: through a process of the container, or by its root alone."""

    of_process: Callable[[int, int, ExitStack], View]
    of_root: Callable[[Container, int, ExitStack], View]


BARE: Final = Way(roots.root_mount_of_process, lambda _record, root, _undo: View(root))


class Reading:
    """An archive in the making, piece by piece; letting go of it ends the making."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._pieces = iter(pipe)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Nothing more is wanted."""
        self._pipe.abandon()

    __del__ = close


@dataclass(frozen=True, slots=True)
class Wishes:
    """How an archive is to be put into a container."""

    keep_kinds: bool = False  # no folder gives way to a file, and no file to a folder
    own: bool = False  # all will belong to the user that the container runs as


class Archives:
    """The files of all containers. Methods belong to the event loop; the work is in threads."""

    def __init__(self, containers: Containers, trees: Trees, opened: SharedRoots) -> None:
        self._containers = containers
        self._trees = trees
        self._snapshots = trees.snapshots
        self._volumes = trees.volumes
        self._roots = opened

    async def look(self, ref: str, path: str) -> Target:
        """Tell what is at a path."""
        cell = self._containers.find(ref)

        def work(view: View, undo: ExitStack) -> Target:
            return find(view.root, path, ref, undo)

        return await self._with_view(cell, work)

    async def get(self, ref: str, path: str) -> tuple[Target, Reading]:
        """Tell what is at a path, and return an archive of it."""
        cell = self._containers.find(ref)

        def begin(view: View, undo: ExitStack) -> tuple[Target, Iterator[bytes]]:
            target = find(view.root, path, ref, undo)
            if target.status.st_dev in view.skipped and not target.is_folder:
                raise NoSuchFile(path, ref)  # the kernel's, and perhaps without end
            if target.is_folder:
                name = os.fsencode(target.name)
                pieces = pack.subtree(target.descriptor, name, view.skipped)
            else:
                pieces = pack.single(target.descriptor, target.entry)
            return target, pieces

        target, reading = await self._streamed(cell, begin, self._whole())
        self._containers.announce(cell, "archive-path")
        return target, reading

    async def export(self, ref: str) -> Reading:
        """Return an archive of the whole root, without what is mounted in it."""
        cell = self._containers.find(ref)
        if cell.record.state in (State.DEAD, State.REMOVING):
            what = "Dead" if cell.record.state is State.DEAD else "being removed"
            raise Conflict(f"You cannot export container {cell.id} which is {what}")

        def begin(view: View, undo: ExitStack) -> tuple[None, Iterator[bytes]]:
            folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=view.root)
            undo.callback(os.close, folder)
            return None, pack.root(folder)

        _, reading = await self._streamed(cell, begin, BARE)
        self._containers.announce(cell, "export")
        return reading

    async def changes(self, ref: str) -> list[Change]:
        """Return what differs from the image."""
        cell = self._containers.find(ref)
        return await asyncio.to_thread(self._snapshots.changes, cell.id)

    async def put(self, ref: str, path: str, pieces: Iterable[bytes], wishes: Wishes) -> None:
        """Unpack an archive, compressed or not, in a folder of the container."""
        cell = self._containers.find(ref)

        def work(view: View, undo: ExitStack) -> None:
            folder = open_folder(view.root, path, ref, undo)
            _check_writable(view.root, folder)
            try:
                _extract(cell.record, view.root, folder, path, source, wishes)
            except OSError as failure:
                if failure.errno == errno.EROFS:
                    raise Forbidden("mounted volume is marked read-only") from failure
                raise

        source = pieces
        if cell.record.state.has_process:
            await self._with_view(cell, work)
        else:
            with closing(Spool(self._containers.folder(cell.id))) as spool:
                has_all = await asyncio.to_thread(spool.fill, pieces)
                source = spool
                await self._with_view(cell, work, keeps_turn=has_all)
        self._containers.announce(cell, "extract-to-dir")

    # ---- threads

    async def _with_view(
        self, cell: Cell, work: Callable[[View, ExitStack], T], *, keeps_turn: bool = False
    ) -> T:
        """Do `work` with the container's root; it is closed before anybody hears the result.

        A container without a process is nobody else's to change meanwhile if that is asked for.
        """

        async def attempt(opened: Open) -> Future[T]:
            done: Future[T] = Future()
            done.set_running_or_notify_cancel()

            def perform(tell: Tell[Future[T]]) -> None:
                try:
                    with ExitStack() as undo:
                        view = opened(undo)
                        tell(done)
                        result = work(view, undo)
                except BaseException as error:
                    done.set_exception(error)
                    raise
                done.set_result(result)

            made = await performed(f"files of {cell.id[:12]}", perform)
            if keeps_turn:
                ended = asyncio.wrap_future(made)
                await asyncio.wait([ended])
                ended.exception()  # it is heard of from whoever waits for what is returned
            return made

        return await asyncio.wrap_future(await self._tried(cell, self._whole(), attempt))

    async def _streamed(
        self,
        cell: Cell,
        begin: Callable[[View, ExitStack], tuple[T, Iterator[bytes]]],
        way: Way,
    ) -> tuple[T, Reading]:
        """Begin an archive; the thread that makes it waits for its reader and ends with it."""

        async def attempt(opened: Open) -> tuple[T, Reading]:
            pipe = Pipe()
            reading = Reading(pipe)

            def perform(tell: Tell[T]) -> None:
                try:
                    with ExitStack() as undo:
                        value, pieces = begin(opened(undo), undo)
                        tell(value)
                        for piece in _gathered(pieces):
                            pipe.put(piece)
                except Abandoned:
                    pipe.end()
                except BaseException as error:
                    pipe.end(error)
                    raise
                else:
                    pipe.end()

            try:
                return await performed(f"archive of {cell.id[:12]}", perform), reading
            except BaseException:
                reading.close()
                raise

        return await self._tried(cell, way, attempt)

    async def _tried(self, cell: Cell, way: Way, attempt: Callable[[Open], Awaitable[T]]) -> T:
        """Try again as what the container has become when its process ends in between.

        Whether there is none is asked in the container's turn, and its root is opened in it then:
        a start that comes later shares what is mounted. So the turn is kept until it is open,
        even when nobody wants the files any more.
        """
        for _ in range(ATTEMPTS):
            if not _has_process(cell):
                async with cell.turn.take("open the files of", cell.id):
                    if not _has_process(cell):
                        return await undisturbed(attempt(self._opener(cell.record, way)))
            if cell.shim is None:
                continue
            pid, keeper = cell.record.run.pid, cell.shim.state.shim
            try:
                return await attempt(partial(way.of_process, pid, keeper))
            except ProcessGone:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ENDING):
                        await cell.ended.wait()
        raise ProcessGone(f"container {cell.id} starts and ends all the time")

    def _opener(self, record: Container, way: Way) -> Open:
        def opened(undo: ExitStack) -> View:
            return way.of_root(record, self._roots.take(record.id, undo), undo)

        return opened

    def _whole(self) -> Way:
        """Return the way to all that the container sees, mounts included."""
        loop = asyncio.get_running_loop()

        def build(record: Container, snapshot: int, undo: ExitStack) -> View:
            return self._build(record, snapshot, loop, undo)

        return Way(roots.of_process, build)

    def _build(
        self, record: Container, snapshot: int, loop: asyncio.AbstractEventLoop, undo: ExitStack
    ) -> View:
        """Build the view of a container without a process; the thread must end afterwards."""
        volumes = [point for point in record.mounts if point.type == "volume"]
        held = {one.destination: self._acquired(record, one, loop, undo) for one in volumes}
        attached = [
            Attached(path, f"{self._containers.folder(record.id)}/{name}")
            for path, name in FILES.items()
            if all(point.destination != path for point in record.mounts)
        ]
        for point in record.mounts:
            source: str | int = point.source
            if point.type == "tmpfs":
                continue
            if point.type == "image" or point.subpath:
                is_image = point.type == "image"
                source = self._trees.of_image(point) if is_image else self._trees.of_volume(point)
                undo.callback(os.close, source)
            elif point.type == "volume":
                source = held[point.destination]
            attached.append(Attached(point.destination, source, point.rw, not point.non_recursive))
        readonly = bool(record.host_config.readonly_rootfs)
        return roots.build(snapshot, self._trees.place, attached, readonly=readonly)

    def _acquired(
        self,
        record: Container,
        point: MountPoint,
        loop: asyncio.AbstractEventLoop,
        undo: ExitStack,
    ) -> str:
        source = self._volumes.acquire(
            point.name,
            record.id,
            destination=point.destination,
            writable=point.rw,
            propagation=point.propagation,
        )
        undo.callback(self._release_soon, loop, point.name, record.id)
        return source

    def _release_soon(self, loop: asyncio.AbstractEventLoop, volume: str, container: str) -> None:
        """Release a volume from the host, not from this thread's own mount namespace."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(
                loop.run_in_executor, None, self._volumes.release, volume, container
            )


def _has_process(cell: Cell) -> bool:
    return cell.record.state.has_process and cell.shim is not None


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces worth handing over."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield held[0] if len(held) == 1 else b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _check_writable(root: int, folder: int) -> None:
    """Refuse what the kernel would, in the words that clients know."""
    if os.fstatvfs(folder).f_flag & os.ST_RDONLY:
        if roots.mount_of(folder) == roots.mount_of(root):
            raise Forbidden("container rootfs is marked read-only")
        raise Forbidden("mounted volume is marked read-only")


def _extract(
    record: Container, root: int, folder: int, path: str, pieces: Iterable[bytes], wishes: Wishes
) -> None:
    owner: tuple[int, int] | None = None
    if wishes.own and record.config.user:
        who = Accounts.read(root).resolve(record.config.user)
        owner = who.uid, who.gid
    extraction = Extraction(folder, Whiteouts.LITERAL)

    def prepare(entry: tar.Entry) -> None:
        if owner is not None:
            entry.uid, entry.gid = owner
        if wishes.keep_kinds:
            _check_kind(entry, extraction.is_folder(entry.name), path)

    try:
        extraction.extract(compression.decompress(pieces), prepare)
    finally:
        extraction.close()


def _check_kind(entry: tar.Entry, there: bool | None, path: str) -> None:
    """Refuse that a folder gives way to something else, or something else to a folder."""
    if there is None or there == (entry.type == tar.FOLDER):
        return
    name = posixpath.join(path, os.fsdecode(entry.name).rstrip("/"))
    ours, theirs = ("directory", "non-directory") if there else ("non-directory", "directory")
    raise InvalidRequest(f'cannot overwrite {ours} "{name}" with {theirs} "{path}"')
