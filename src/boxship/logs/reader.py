"""Reading logs back: what is there, and what comes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from boxship.kernel import inotify
from boxship.logs.files import Gzipped, Plain, is_same, open_all
from boxship.logs.formats import Format
from boxship.logs.query import Query
from boxship.logs.rendering import Renderer

LONGEST: Final = 1 << 20  # a record is much shorter; more without an end is no record
LOOK_AGAIN: Final = 5.0  # seconds, should the kernel ever fail to tell of a change
_CHANGES: Final = inotify.IN_MODIFY | inotify.IN_CREATE | inotify.IN_MOVED_TO


def read(path: str, form: Format, query: Query) -> Iterator[bytes]:
    """Yield what the log holds now, as the client gets it, in pieces of about 128 KiB."""
    renderer = Renderer(form, query)
    reading = Reading(path, form, query, follows=False)
    try:
        for records in reading.records():
            if out := renderer.render(records):
                yield out
            if renderer.is_finished:
                return
    finally:
        reading.close()


async def follow(
    path: str, form: Format, query: Query, ended: asyncio.Event
) -> AsyncIterator[bytes]:
    """Yield what the log holds and what is added, until the container has `ended`.

    Nothing is lost or doubled where the log is rotated meanwhile, as long as the files between
    are still there when their turn comes.
    """
    renderer = Renderer(form, query)
    changes = Changes(os.path.dirname(path))
    reading = Reading(path, form, query, follows=True)
    try:
        while True:
            was_last = ended.is_set()  # asked before reading: what it wrote last is read then
            for records in reading.records():
                if out := renderer.render(records):
                    yield out
                else:
                    await asyncio.sleep(0)
                if renderer.is_finished:
                    return
            if was_last or _is_past(query.until):
                return
            await changes.wait(ended, _patience(query.until))
    finally:
        reading.close()
        changes.close()


def _is_past(until: int) -> bool:
    return bool(until) and time.time_ns() > until


def _patience(until: int) -> float:
    """Return for how long to wait for changes before looking again."""
    if not until:
        return LOOK_AGAIN
    return min(LOOK_AGAIN, max(0.0, (until - time.time_ns()) / 1e9) + 0.001)


class Reading:
    """A place in a log's files."""

    def __init__(self, path: str, form: Format, query: Query, *, follows: bool) -> None:
        self._path = path
        self._form = form
        self._follows = follows
        self._pending = b""
        self._is_lost = False  # in something that has no end and is no record
        self._sources: list[Plain | Gzipped] = open_all(path)
        if not follows:
            for source in self._sources:
                if isinstance(source, Plain):
                    source.end = source.size
        if query.tail is not None:
            self._sources = leave_last(self._sources, form, query.tail)

    def records(self) -> Iterator[bytes]:
        """Yield whole records, many at once, until there are no more for now."""
        while self._sources:
            source = self._sources[0]
            while data := source.read():
                if records := self._complete(data):
                    yield records
            if not self._is_written_no_more():
                return
            # It has a successor, so nothing can be added now; but something may have been.
            while data := source.read():
                if records := self._complete(data):
                    yield records
            self._pending = b""
            del self._sources[0]
            if not self._sources:
                self._find_after(source)
            source.close()  # only now: its inode must not be another file's while we search
        if self._follows:
            self._sources = list(open_all(self._path))
            if self._sources:
                yield from self.records()

    def _complete(self, data: bytes) -> bytes:
        """Return the whole records there are now; keep what is not complete."""
        if self._is_lost:
            newline = data.find(b"\n") + 1
            if not newline:
                return b""
            self._is_lost = False
            data = data[newline:]
        data = self._pending + data if self._pending else data
        end = self._form.whole(data)
        self._pending = data[end:]
        if len(self._pending) > LONGEST:
            self._pending = b""
            self._is_lost = True
        return data[:end]

    def _is_written_no_more(self) -> bool:
        """Whether the file being read has ended for good."""
        if len(self._sources) > 1 or not self._follows:
            return True
        try:
            current = os.stat(self._path).st_ino
        except FileNotFoundError:
            return False  # between a rotation's two steps, or the container is being removed
        source = self._sources[0]
        return isinstance(source, Gzipped) or source.identity()[0] != current

    def _find_after(self, last: Plain | Gzipped) -> None:
        """Find the files written since `last`; all of them if it is not there any more."""
        if not self._follows:
            return
        found = open_all(self._path)
        same = [index for index, source in enumerate(found) if is_same(source, last)]
        known = same[-1] + 1 if same else 0
        for source in found[:known]:
            source.close()
        self._sources = found[known:]

    def close(self) -> None:
        for source in self._sources:
            source.close()
        self._sources = []


def leave_last(
    sources: Sequence[Plain | Gzipped], form: Format, count: int
) -> list[Plain | Gzipped]:
    """Close or move forward the files so that `count` records are left before the end."""
    left: list[Plain | Gzipped] = []
    for source in reversed(sources):
        if count <= 0 and left:
            source.close()
            continue
        count -= _leave_last_of(source, form, count)
        left.insert(0, source)
    return left


def _leave_last_of(source: Plain | Gzipped, form: Format, count: int) -> int:
    """Move a file forward to its last `count` records; return how many they are."""
    if isinstance(source, Plain):
        if count <= 0:
            source.offset = source.size
            return 0
        source.offset, found = form.start_of_last(source.fd, source.size, count)
        return found
    return source.leave_last(form, count)


class Changes:
    """Waits for something to happen in a log's folder."""

    def __init__(self, folder: str) -> None:
        self._fd = inotify.watch(folder, _CHANGES)

    async def wait(self, ended: asyncio.Event, patience: float) -> None:
        """Wait for a change, for the end, or until patience is over."""
        loop = asyncio.get_running_loop()
        changed: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._fd, self._on_change, changed)
        end = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait(
                (changed, end), timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            loop.remove_reader(self._fd)
            end.cancel()
            changed.cancel()

    def _on_change(self, changed: asyncio.Future[None]) -> None:
        inotify.drain(self._fd)
        if not changed.done():
            changed.set_result(None)

    def close(self) -> None:
        os.close(self._fd)
