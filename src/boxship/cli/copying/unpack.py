"""A tar archive becomes files here, beneath one folder and nowhere else.

The archive comes from a container and is not to be believed. Each name is walked folder by folder
through descriptors, and no symbolic link is followed on the way, whether it was there before or
came with the archive. What is not the caller's own is not made the caller's: without --archive the
bits that would run a program as its owner are dropped, and device nodes are left out.
"""

from __future__ import annotations

import os
import stat

from boxship.cli.output import write_all
from boxship.errors import Conflict, InvalidRequest
from boxship.wire.tar import FIFO, FILE, FOLDER, HARD_LINK, SYMLINK, Entry, Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxship.cli.copying.places import Plan

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
DEEPEST = 4096


class Unpacker:
    """Writes entries beneath a folder. The folders on the way to the last entry stay open."""

    def __init__(self, plan: Plan, *, keep_owner: bool) -> None:
        self._old = os.fsencode(plan.old) if plan.new else b""
        self._new = os.fsencode(plan.new)
        self._keep_owner = keep_owner
        self._root = os.open(plan.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: list[tuple[bytes, int]] = []
        self._times: dict[tuple[bytes, ...], int] = {}
        self.left_out: list[str] = []

    def run(self, archive: Iterable[bytes]) -> None:
        """Write everything; InvalidRequest where the archive is broken or tries to leave."""
        reader = Reader(archive)
        try:
            for entry in reader:
                self._entry(reader, entry)
            self._set_folder_times()
        finally:
            self._close_to(0)
            os.close(self._root)

    def _names(self, raw: bytes) -> list[bytes]:
        names = [name for name in raw.split(b"/") if name not in (b"", b".")]
        if b".." in names or len(names) > DEEPEST:
            shown = os.fsdecode(raw)
            raise InvalidRequest(f"the archive holds a name that leads out of it: {shown!r}")
        if self._new and names and names[0] == self._old:
            names[0] = self._new
        elif self._new and self._old == b"." and raw.startswith(b"."):
            names.insert(0, self._new)
        return names

    def _entry(self, reader: Reader, entry: Entry) -> None:
        names = self._names(entry.name)
        if not names:
            return  # the folder itself: it is the caller's
        parent = self._folder(names[:-1])
        name = names[-1]
        if entry.type == FOLDER:
            self._make_folder(parent, name, entry)
            self._times[tuple(names)] = entry.mtime
            return
        self._make_room(parent, name)
        match entry.type:
            case kind if kind == FILE:
                self._make_file(parent, name, entry, reader)
            case kind if kind == SYMLINK:
                os.symlink(entry.link, name, dir_fd=parent)
                self._own(parent, name, entry)
            case kind if kind == HARD_LINK:
                self._make_link(parent, name, entry)
            case kind if kind == FIFO:
                os.mkfifo(name, self._mode(entry), dir_fd=parent)
                self._own(parent, name, entry)
            case _:
                self.left_out.append(os.fsdecode(entry.name))

    def _folder(self, names: list[bytes]) -> int:
        """Return the folder of these names, made where it is missing."""
        same = 0
        for (open_name, _), name in zip(self._open, names, strict=False):
            if open_name != name:
                break
            same += 1
        self._close_to(same)
        parent = self._open[-1][1] if self._open else self._root
        for name in names[same:]:
            try:
                inner = os.open(name, OPEN_FOLDER, dir_fd=parent)
            except FileNotFoundError:
                os.mkdir(name, 0o755, dir_fd=parent)
                inner = os.open(name, OPEN_FOLDER, dir_fd=parent)
            except NotADirectoryError as error:
                shown = os.fsdecode(b"/".join(names))
                raise Conflict(f"{shown!r} does not lead through folders alone") from error
            except OSError as error:
                shown = os.fsdecode(b"/".join(names))
                raise Conflict(f"cannot open {shown!r}: {error.strerror}") from error
            self._open.append((name, inner))
            parent = inner
        return parent

    def _close_to(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop()[1])

    def _make_folder(self, parent: int, name: bytes, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            kind = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(kind):
                shown = os.fsdecode(name)
                problem = f'cannot overwrite non-directory "{shown}" with directory "{shown}"'
                raise Conflict(problem) from None
        descriptor = os.open(name, OPEN_FOLDER, dir_fd=parent)
        try:
            if self._keep_owner:
                os.fchown(descriptor, entry.uid, entry.gid)
            os.fchmod(descriptor, self._mode(entry))
        finally:
            os.close(descriptor)

    def _make_room(self, parent: int, name: bytes) -> None:
        """Take away what has the name, unless it is a folder."""
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except (IsADirectoryError, PermissionError):
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise
            shown = os.fsdecode(name)
            problem = f'cannot overwrite directory "{shown}" with non-directory "{shown}"'
            raise Conflict(problem) from None

    def _mode(self, entry: Entry) -> int:
        return entry.mode & (0o7777 if self._keep_owner else 0o1777)

    def _make_file(self, parent: int, name: bytes, entry: Entry, reader: Reader) -> None:
        descriptor = os.open(name, OPEN_NEW, 0o600, dir_fd=parent)
        try:
            self._fill(descriptor, entry, reader)
            if self._keep_owner:
                os.fchown(descriptor, entry.uid, entry.gid)
            os.fchmod(descriptor, self._mode(entry))
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)

    def _fill(self, descriptor: int, entry: Entry, reader: Reader) -> None:
        if entry.holes is None:
            for part in reader.content():
                write_all(descriptor, part)
            return
        os.ftruncate(descriptor, entry.length)
        parts = iter(entry.holes)
        at = left = 0
        for part in reader.content():
            while part:
                if not left:
                    at, left = next(parts)
                    continue
                now = part[:left]
                os.pwrite(descriptor, now, at)
                at, left, part = at + len(now), left - len(now), part[len(now) :]

    def _make_link(self, parent: int, name: bytes, entry: Entry) -> None:
        target = self._names(entry.link)
        if not target:
            raise InvalidRequest("the archive holds a hard link to nothing")
        kept = os.dup(parent)  # the walk to the target may close it
        try:
            folder = self._folder(target[:-1])
            os.link(target[-1], name, src_dir_fd=folder, dst_dir_fd=kept, follow_symlinks=False)
        except FileNotFoundError as error:
            shown = os.fsdecode(entry.link)
            raise InvalidRequest(f"the archive links to {shown!r}, which is not in it") from error
        finally:
            os.close(kept)

    def _own(self, parent: int, name: bytes, entry: Entry) -> None:
        if self._keep_owner:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        times = (entry.mtime, entry.mtime)
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def _set_folder_times(self) -> None:
        """Set the times of folders last: writing into them has changed them."""
        for names, mtime in self._times.items():
            descriptor = self._folder(list(names))
            os.utime(descriptor, ns=(mtime, mtime))
