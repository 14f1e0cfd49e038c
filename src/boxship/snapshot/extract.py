"""A tar stream becomes files beneath one folder, whatever the stream says.

Folders are resolved by the kernel beneath the root's descriptor (openat2) and kept open in a
cache; what an entry makes is made in its folder's descriptor, by its last name, which is never
followed. So no name and no link, however they come together, leads outside.

A layer's whiteouts, `.wh.<name>` for one name and `.wh..wh..opq` for all a folder had, become
what the place needs: a device 0:0 and an attribute for overlayfs, a removal for a plain tree.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from typing import Final

from boxship.kernel.paths import CONFINED, openat2
from boxship.snapshot import trees
from boxship.snapshot.errors import Breakout, CannotUnpack
from boxship.wire import tar

WHITEOUT: Final = b".wh."
AUFS_OWN: Final = b".wh..wh."
OPAQUE: Final = b".wh..wh..opq"
OPAQUE_ATTRIBUTE: Final = "trusted.overlay.opaque"
KEPT_ATTRIBUTES: Final = (
    b"user.",
    b"security.capability",
    b"system.posix_acl_access",
    b"system.posix_acl_default",
)
OVERLAY_OWN: Final = b"user.overlay."
OPEN_FOLDERS: Final = 256
WAITING_FOLDERS: Final = 1 << 16
WAITING_LINKS: Final = 1 << 16
LARGEST_ID: Final = (1 << 32) - 2
LATEST: Final = (1 << 33) * tar.NANOSECOND
SMALL: Final = 1 << 20
DOUBTFUL: Final = re.compile(rb"^[./]|/[./]|/$|\0", re.DOTALL)  # may be cleaner, or refused
NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
ARCHIVE_FAULTS: Final = frozenset(
    (
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.ENOTDIR,
        errno.EINVAL,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENOENT,
        errno.ENOTEMPTY,
        errno.EXDEV,
        errno.EPERM,
        errno.EMLINK,
        errno.E2BIG,
        errno.ERANGE,
        errno.EFBIG,
    )
)


class Whiteouts(Enum):
    """What whiteout entries become."""

    OVERLAY = "overlay"
    REMOVE = "remove"
    LITERAL = "literal"


class Extraction:
    """One archive on its way into one folder; `close` when done."""

    def __init__(self, root: int, whiteouts: Whiteouts) -> None:
        self._root = root
        self._whiteouts = whiteouts
        self._folders: dict[bytes, int] = {b"": os.dup(root)}
        self._times: list[tuple[bytes, int]] = []
        self._made: set[bytes] = set()  # for REMOVE only: what this archive has brought
        self._special = 0o7000 | _umask()
        # whether a folder here may give its group to what is made in it
        self._inherits = whiteouts is not Whiteouts.OVERLAY
        self._stale = False  # what is cached may have been replaced since
        self.implied: dict[bytes, None] = {}  # folders that no entry describes
        self.described = False  # an entry speaks of the root itself
        self.links: list[tuple[bytes, bytes]] = []  # (name, target) whose target is not here
        self.size = 0

    def close(self) -> None:
        """Let go of the folders."""
        for folder in self._folders.values():
            os.close(folder)
        self._folders.clear()

    def extract(
        self, pieces: Iterable[bytes], prepare: Callable[[tar.Entry], None] | None = None
    ) -> None:
        """Unpack the archive to its end; all of the stream is taken.

        `prepare` sees each entry first, and may change or refuse it.
        """
        reader = tar.Reader(pieces)
        for entry in reader:
            try:
                if prepare is not None:
                    prepare(entry)
                self.add(entry, reader)
            except OSError as error:
                if error.errno in ARCHIVE_FAULTS:
                    raise CannotUnpack(entry.name, error.strerror or str(error)) from error
                raise
        reader.stream.drain()
        self.finish()

    def add(self, entry: tar.Entry, reader: tar.Reader) -> None:
        """Make what one entry describes."""
        self._trim()
        path = clean(entry.name)
        if entry.uid > LARGEST_ID or entry.gid > LARGEST_ID:
            raise CannotUnpack(entry.name, "the owner's number is too large")
        up, _, name = path.rpartition(b"/")
        if self._whiteouts is not Whiteouts.LITERAL and name.startswith(WHITEOUT):
            self._whiteout(entry, up, name)
            return
        if not path:
            if entry.type == tar.FOLDER:
                self._describe_root(entry)
            return
        match entry.type:
            case tar.FILE:
                self._file(self._folder(up), name, entry, reader)
            case tar.FOLDER:
                self._make_folder(path, self._folder(up), name, entry)
            case tar.SYMLINK:
                self._symlink(self._folder(up), name, entry)
            case tar.HARD_LINK:
                self._hard_link(path, self._folder(up), name, entry)
            case tar.CHARACTER_DEVICE | tar.BLOCK_DEVICE | tar.FIFO:
                self._node(path, self._folder(up), name, entry)
            case _:
                raise CannotUnpack(entry.name, f"unhandled tar header type {entry.type[0]}")
        if self._whiteouts is Whiteouts.REMOVE:
            self._made.add(path)

    def is_folder(self, name: bytes) -> bool | None:
        """Tell what an entry of this name would meet: a folder, something else, or nothing."""
        up, _, last = clean(name).rpartition(b"/")
        try:
            there = os.stat(last or b".", dir_fd=self._open_folder(up), follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return stat.S_ISDIR(there.st_mode)

    def finish(self) -> None:
        """Set the times of folders, which all that was made in them has changed."""
        for path, mtime in reversed(self._times):
            self._trim()
            with suppress(FileNotFoundError, NotADirectoryError):
                folder = self._open_folder(path)
                os.utime(f"/proc/self/fd/{folder}", ns=(mtime, mtime))
        self._times.clear()

    def _file(self, folder: int, name: bytes, entry: tar.Entry, reader: tar.Reader) -> None:
        mode, uid, gid, mtime = entry.mode, entry.uid, entry.gid, entry.mtime
        try:
            file = os.open(name, NEW_FILE, mode & 0o777, dir_fd=folder)
        except FileExistsError:
            self._clear(folder, name)
            file = os.open(name, NEW_FILE, mode & 0o777, dir_fd=folder)
        try:
            size = entry.size
            if entry.holes is not None:
                os.ftruncate(file, entry.length)
                _fill(file, entry.holes, reader)
            elif size <= SMALL:
                if size:
                    data = reader.read(SMALL)
                    if os.write(file, data) < size:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            else:
                for part in reader.content():
                    _write(file, part)
            self.size += size
            if uid or gid or self._inherits:
                os.fchown(file, uid, gid)
            if mode & self._special:
                os.fchmod(file, mode)
            if entry.xattrs:
                _set_attributes(file, entry)
            mtime = _time(mtime)
            os.utime(file, ns=(mtime, mtime))
        finally:
            os.close(file)

    def _make_folder(self, path: bytes, parent: int, name: bytes, entry: tar.Entry) -> None:
        opaque = False
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            there = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(there.st_mode):
                opaque = self._clear(parent, name)
                os.mkdir(name, 0o700, dir_fd=parent)
        folder = os.open(name, trees.FOLDER, dir_fd=parent)
        try:
            self._describe(folder, entry)
            if opaque:
                os.setxattr(folder, OPAQUE_ATTRIBUTE, b"y")
        except BaseException:
            os.close(folder)
            raise
        self.implied.pop(path, None)
        self._keep(path, folder)
        self._later(path, entry.mtime)

    def _describe_root(self, entry: tar.Entry) -> None:
        root = os.open(".", trees.FOLDER, dir_fd=self._root)
        try:
            self._describe(root, entry)
        finally:
            os.close(root)
        self.described = True
        self._later(b"", entry.mtime)

    def _describe(self, folder: int, entry: tar.Entry) -> None:
        self._inherits = self._inherits or bool(entry.mode & stat.S_ISGID)
        os.fchown(folder, entry.uid, entry.gid)
        os.fchmod(folder, entry.mode)
        if entry.xattrs:
            _set_attributes(folder, entry)

    def _symlink(self, folder: int, name: bytes, entry: tar.Entry) -> None:
        try:
            os.symlink(entry.link, name, dir_fd=folder)
        except FileExistsError:
            self._clear(folder, name)
            os.symlink(entry.link, name, dir_fd=folder)
        if entry.uid or entry.gid or self._inherits:
            os.chown(name, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        mtime = _time(entry.mtime)
        os.utime(name, ns=(mtime, mtime), dir_fd=folder, follow_symlinks=False)

    def _hard_link(self, path: bytes, folder: int, name: bytes, entry: tar.Entry) -> None:
        """Link to what an earlier entry made; a target of a layer below is seen to later."""
        target = clean(entry.link)
        if target == path:
            raise CannotUnpack(entry.name, "a hard link to itself")
        up, _, last = target.rpartition(b"/")
        if not last:
            raise CannotUnpack(entry.name, "a hard link to a folder")
        try:
            source = self._open_folder(up)
            there = os.stat(last, dir_fd=source, follow_symlinks=False)
            if is_whiteout(there):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        except FileNotFoundError:
            if self._whiteouts is not Whiteouts.OVERLAY or len(self.links) >= WAITING_LINKS:
                raise
            self.links.append((path, target))
            return
        try:
            link(source, last, folder, name)
        except FileExistsError:
            self._clear(folder, name)
            link(source, last, folder, name)

    def _node(self, path: bytes, folder: int, name: bytes, entry: tar.Entry) -> None:
        if entry.type == tar.CHARACTER_DEVICE and entry.major == entry.minor == 0:
            if self._whiteouts is not Whiteouts.LITERAL:  # overlayfs's own whiteout
                self._hide(path, folder, name)
            return
        kind = {
            tar.CHARACTER_DEVICE: stat.S_IFCHR,
            tar.BLOCK_DEVICE: stat.S_IFBLK,
            tar.FIFO: stat.S_IFIFO,
        }[entry.type]
        if not (0 <= entry.major < 1 << 12 and 0 <= entry.minor < 1 << 20):
            raise CannotUnpack(entry.name, "there is no such device number")
        device = os.makedev(entry.major, entry.minor)
        try:
            os.mknod(name, kind | 0o600, device, dir_fd=folder)
        except FileExistsError:
            self._clear(folder, name)
            os.mknod(name, kind | 0o600, device, dir_fd=folder)
        os.chown(name, entry.uid, entry.gid, dir_fd=folder, follow_symlinks=False)
        trees.set_mode(folder, name, entry.mode)
        mtime = _time(entry.mtime)
        os.utime(name, ns=(mtime, mtime), dir_fd=folder, follow_symlinks=False)

    def _whiteout(self, entry: tar.Entry, up: bytes, name: bytes) -> None:
        if name == OPAQUE:
            folder = self._folder(up)
            if self._whiteouts is Whiteouts.OVERLAY:
                os.setxattr(f"/proc/self/fd/{folder}", OPAQUE_ATTRIBUTE, b"y")
            else:
                self._empty(up, folder)
            return
        if name.startswith(AUFS_OWN):
            return  # what aufs kept for itself has no meaning here
        hidden = name[len(WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise CannotUnpack(entry.name, "it is a whiteout of nothing")
        self._hide(up + b"/" + hidden if up else hidden, self._folder(up), hidden)

    def _hide(self, path: bytes, folder: int, name: bytes) -> None:
        """Hide what layers below have at `path`; what this archive brought there stays."""
        if self._whiteouts is Whiteouts.REMOVE:
            if path not in self._made:
                self._stale = True
                trees.remove(folder, name)
            return
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=folder)
        except FileExistsError:
            there = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(there.st_mode):  # of this layer: hide only what is below it
                inner = os.open(name, trees.FOLDER, dir_fd=folder)
                try:
                    os.setxattr(inner, OPAQUE_ATTRIBUTE, b"y")
                finally:
                    os.close(inner)

    def _empty(self, path: bytes, folder: int) -> None:
        """Remove what a folder had before this archive."""
        opened = os.open(f"/proc/self/fd/{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in map(os.fsencode, os.listdir(opened)):
                inner = path + b"/" + name if path else name
                if inner not in self._made and not self._brought_below(inner):
                    self._stale = True
                    trees.remove(opened, name)
        finally:
            os.close(opened)

    def _brought_below(self, path: bytes) -> bool:
        return any(made.startswith(path + b"/") for made in self._made)

    def _clear(self, folder: int, name: bytes) -> bool:
        """Make way for a new entry; say whether it was a whiteout that went."""
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
        self._stale = True
        trees.remove(folder, name)
        return is_whiteout(there) and self._whiteouts is Whiteouts.OVERLAY

    def _folder(self, path: bytes) -> int:
        """Return the folder at `path`, made with what is missing above it."""
        try:
            return self._open_folder(path)
        except FileNotFoundError:
            pass
        words, there = path.split(b"/"), len(path.split(b"/"))
        while there:
            there -= 1
            with suppress(FileNotFoundError):
                folder = self._open_folder(b"/".join(words[:there]))
                break
        for count in range(there, len(words)):
            os.mkdir(words[count], 0o755, dir_fd=folder)
            inner = b"/".join(words[: count + 1])
            if len(self.implied) < WAITING_FOLDERS:
                self.implied[inner] = None
            folder = self._open_folder(inner)
        return folder

    def _open_folder(self, path: bytes) -> int:
        """Return a folder that exists, from the cache or through the kernel."""
        folder = self._folders.get(path)
        if folder is None:
            flags = os.O_PATH | os.O_DIRECTORY
            folder = openat2(self._root, path or b".", flags, 0, CONFINED)
            self._keep(path, folder)
        return folder

    def _keep(self, path: bytes, folder: int) -> None:
        if (known := self._folders.get(path)) is not None:
            os.close(known)
        self._folders[path] = folder

    def _trim(self) -> None:
        """Between entries, while nobody uses one: close what is cached, but for the root."""
        if self._stale or len(self._folders) > OPEN_FOLDERS:
            for known in [known for known in self._folders if known]:
                os.close(self._folders.pop(known))
            self._stale = False

    def _later(self, path: bytes, mtime: int) -> None:
        self._times.append((path, _time(mtime)))
        if len(self._times) >= WAITING_FOLDERS:
            self.finish()


def clean(name: bytes) -> bytes:
    """Return a name relative to the root, without `.`, `..` and doubled slashes."""
    plain = name[2:] if name[:2] == b"./" else name
    if plain and not DOUBTFUL.search(plain):
        return plain
    if b"\0" in name:
        raise CannotUnpack(name, "a NUL byte in the name")
    words: list[bytes] = []
    for word in name.split(b"/"):
        if word == b"..":
            if not words:
                raise Breakout(name)
            words.pop()
        elif word not in (b"", b"."):
            words.append(word)
    return b"/".join(words)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is overlayfs's way to say that there is nothing."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def link(source: int, last: bytes, folder: int, name: bytes) -> None:
    """Make a hard link to what `last` itself is."""
    os.link(last, name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)


def _fill(file: int, parts: list[tuple[int, int]], reader: tar.Reader) -> None:
    """Write the parts of a file with holes to where they belong."""
    content = reader.content()
    rest = memoryview(b"")
    for offset, size in parts:
        while size:
            rest = rest or next(content)
            done = os.pwrite(file, rest[:size], offset)
            rest, offset, size = rest[done:], offset + done, size - done


def _write(file: int, data: memoryview) -> None:
    while data:
        data = data[os.write(file, data) :]


def _set_attributes(file: int, entry: tar.Entry) -> None:
    """Set what a layer may say; a filesystem that has no such attributes goes without."""
    for name, value in entry.xattrs.items():
        if name.startswith(KEPT_ATTRIBUTES) and not name.startswith(OVERLAY_OWN):
            try:
                os.setxattr(file, name, value)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                    raise


def _time(nanoseconds: int) -> int:
    """Return a time that the kernel takes."""
    return max(-LATEST, min(nanoseconds, LATEST))


def _umask() -> int:
    """Return the process's umask, which can otherwise only be read by changing it."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o777  # a kernel before 4.7: set every mode
