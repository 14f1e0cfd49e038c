"""mount(2) and its descriptor-based successors.

A *detached mount* is a descriptor: a filesystem, or a copy of a part of the tree, that is visible
nowhere until `move_mount` attaches it. Closing the descriptor of one never attached is all it
takes to be rid of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Iterable, Mapping
from typing import Final

from boxship.kernel.syscalls import AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, syscall

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_SYNCHRONOUS: Final = 16
MS_REMOUNT: Final = 32
MS_MANDLOCK: Final = 64
MS_DIRSYNC: Final = 128
MS_NOSYMFOLLOW: Final = 256
MS_NOATIME: Final = 1024
MS_NODIRATIME: Final = 2048
MS_BIND: Final = 4096
MS_MOVE: Final = 8192
MS_REC: Final = 16384
MS_SILENT: Final = 32768
MS_UNBINDABLE: Final = 1 << 17
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MS_SHARED: Final = 1 << 20
MS_RELATIME: Final = 1 << 21
MS_STRICTATIME: Final = 1 << 24
MS_LAZYTIME: Final = 1 << 25

MNT_FORCE: Final = 1
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8

OPEN_TREE_CLONE: Final = 1
OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
FSOPEN_CLOEXEC: Final = 1
FSMOUNT_CLOEXEC: Final = 1
FSCONFIG_SET_FLAG: Final = 0
FSCONFIG_SET_STRING: Final = 1
FSCONFIG_SET_FD: Final = 5
FSCONFIG_CMD_CREATE: Final = 6
FSCONFIG_CMD_RECONFIGURE: Final = 7
MOVE_MOUNT_F_EMPTY_PATH: Final = 0x04
MOVE_MOUNT_T_EMPTY_PATH: Final = 0x40

MOUNT_ATTR_RDONLY: Final = 0x01
MOUNT_ATTR_NOSUID: Final = 0x02
MOUNT_ATTR_NODEV: Final = 0x04
MOUNT_ATTR_NOEXEC: Final = 0x08
MOUNT_ATTR__ATIME: Final = 0x70
MOUNT_ATTR_RELATIME: Final = 0x00
MOUNT_ATTR_NOATIME: Final = 0x10
MOUNT_ATTR_STRICTATIME: Final = 0x20
MOUNT_ATTR_NODIRATIME: Final = 0x80
MOUNT_ATTR_IDMAP: Final = 0x00100000
MOUNT_ATTR_NOSYMFOLLOW: Final = 0x00200000

_KEPT_ON_REMOUNT: Final = 0x1 | 0x2 | 0x4 | 0x8 | 0x400 | 0x800  # the ST_ flags equal the MS_ ones
_ATTRIBUTES: Final = struct.Struct("QQQQ")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2); an empty `fstype` or `data` goes in as NULL."""
    kind, options = fstype.encode() or None, os.fsencode(data) or None
    syscall("mount", os.fsencode(source), os.fsencode(target), kind, flags, options, about=target)


def bind(source: str, target: str, *, readonly: bool = False, recursive: bool = False) -> None:
    """Show what is at `source` at `target` too.

    The kernel ignores MS_RDONLY on a fresh bind, so read-only takes a second call.
    That call replaces the mount's flags: those already set are read back and repeated.
    """
    mount(source, target, flags=MS_BIND | (MS_REC if recursive else 0))
    if readonly:
        kept = os.statvfs(target).f_flag & _KEPT_ON_REMOUNT
        mount("", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def set_propagation(target: str, kind: int, *, recursive: bool = True) -> None:
    """Make a mount MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE."""
    mount("", target, flags=kind | (MS_REC if recursive else 0))


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    syscall("umount2", os.fsencode(target), flags, about=target)


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2)."""
    syscall("pivot_root", os.fsencode(new), os.fsencode(old), about=new)


def open_tree(
    path: str | bytes = b"", *, folder: int = AT_FDCWD, recursive: bool = False, clone: bool = True
) -> int:
    """Return a detached copy of what is mounted at `path`, or at `folder` when `path` is empty.

    Without `clone` the descriptor is of the mount itself. A copy can only be made of what the
    caller's own mount namespace shows: a detached mount cannot be copied on kernels before 6.15.
    """
    flags = OPEN_TREE_CLOEXEC | (OPEN_TREE_CLONE if clone else 0)
    flags |= (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    return syscall("open_tree", folder, os.fsencode(path), flags, about=path)


def mount_setattr(
    mount_fd: int,
    *,
    add: int = 0,
    clear: int = 0,
    propagation: int = 0,
    userns: int = 0,
    recursive: bool = False,
) -> None:
    """Change the MOUNT_ATTR_ flags, the MS_ propagation or the id mapping of a mount."""
    attributes = _ATTRIBUTES.pack(add, clear, propagation, userns)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    syscall("mount_setattr", mount_fd, b"", flags, attributes, _ATTRIBUTES.size)


def move_mount(mount_fd: int, target: str | bytes | int) -> None:
    """Attach a detached mount at a path, or on top of what a descriptor names."""
    if isinstance(target, int):
        flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
        syscall("move_mount", mount_fd, b"", target, b"", flags)
    else:
        where = os.fsencode(target)
        syscall("move_mount", mount_fd, b"", AT_FDCWD, where, MOVE_MOUNT_F_EMPTY_PATH, about=target)


Option = str | int | None


def new_filesystem(
    fstype: str,
    options: Mapping[str, Option] | Iterable[tuple[str, Option]] = (),
    *,
    attributes: int = 0,
) -> int:
    """Return a detached mount of a new filesystem; `attributes` are MOUNT_ATTR_ flags.

    An option's value is text, a descriptor (int), or None for a bare flag; pairs may repeat a
    name. An error carries the kernel's own explanation where it gave one.
    """
    context = syscall("fsopen", fstype.encode(), FSOPEN_CLOEXEC, about=fstype)
    try:
        pairs = options.items() if isinstance(options, Mapping) else options
        for name, value in pairs:
            _configure(context, fstype, name, value)
        _explained(context, fstype, FSCONFIG_CMD_CREATE, None, None, 0)
        return syscall("fsmount", context, FSMOUNT_CLOEXEC, attributes, about=fstype)
    finally:
        os.close(context)


def _configure(context: int, fstype: str, name: str, value: Option) -> None:
    match value:
        case None:
            _explained(context, fstype, FSCONFIG_SET_FLAG, name, None, 0)
        case int():
            _explained(context, fstype, FSCONFIG_SET_FD, name, None, value)
        case str():
            _explained(context, fstype, FSCONFIG_SET_STRING, name, os.fsencode(value), 0)


def _explained(
    context: int, fstype: str, command: int, name: str | None, value: bytes | None, extra: int
) -> None:
    key = name.encode() if name is not None else None
    try:
        syscall("fsconfig", context, command, key, value, extra, about=name or fstype)
    except OSError as failure:
        reason = messages(context)
        if reason:
            raise OSError(failure.errno, f"{fstype}: {reason}") from failure
        raise


def messages(context: int) -> str:
    """Return what the kernel has said of a filesystem context, newest last."""
    lines = []
    with contextlib.suppress(OSError):  # ENODATA: it has said all
        while True:
            lines.append(os.read(context, 4096).decode(errors="replace").strip())
    return "; ".join(lines)


def overlay(
    lower: Iterable[str],
    upper: str | None = None,
    work: str | None = None,
    *,
    options: Iterable[tuple[str, Option]] = (),
    attributes: int = 0,
) -> int:
    """Return a detached overlay mount; `lower` has the topmost folder first.

    Kernels since 6.8 take the lower folders one at a time, so their number and the length of
    their names are bounded only by the kernel (500 layers). Earlier ones take one string of at
    most 255 bytes that way, so mount(2) is used there: a page, which the caller meets by passing
    short relative names.
    """
    folders = list(lower)
    writable = [("upperdir", upper), ("workdir", work)] if upper and work else []
    named: tuple[str, Option] = ("source", "overlay")
    pairs: list[tuple[str, Option]] = [named, *(("lowerdir+", folder) for folder in folders)]
    try:
        return new_filesystem("overlay", [*pairs, *writable, *options], attributes=attributes)
    except OSError as failure:
        if failure.errno != errno.EINVAL or _knows_lowerdir_plus():
            raise
    joined = ":".join(folder.replace("\\", "\\\\").replace(":", "\\:") for folder in folders)
    if len(joined) < 256 and all(len(value or "") < 256 for _, value in writable):
        classic: list[tuple[str, Option]] = [
            named,
            ("lowerdir", joined),
            *writable,
            *options,
        ]
        return new_filesystem("overlay", classic, attributes=attributes)
    return _overlay_by_mount(joined, writable, options, attributes)


_lowerdir_plus: bool | None = None


def _takes(context: int, option: bytes) -> bool:
    try:
        syscall("fsconfig", context, FSCONFIG_SET_STRING, option, b"/", 0)
    except OSError:
        return False
    return True


def _knows_lowerdir_plus() -> bool:
    """Whether the overlay driver takes lower folders one at a time; asked once.

    Kernels before 6.5 note down whatever option they are given, and refuse it all at the end.
    """
    global _lowerdir_plus
    if _lowerdir_plus is None:
        context = syscall("fsopen", b"overlay", FSOPEN_CLOEXEC, about="overlay")
        try:
            refuses_unknown = not _takes(context, b"no-such-option")
            _lowerdir_plus = refuses_unknown and _takes(context, b"lowerdir+")
        finally:
            os.close(context)
    return _lowerdir_plus


def _overlay_by_mount(
    lower: str,
    writable: Iterable[tuple[str, str | None]],
    options: Iterable[tuple[str, Option]],
    attributes: int,
) -> int:
    """Mount an overlay on a private folder for a moment, and take the mount away with us."""
    import tempfile

    pairs: list[tuple[str, Option]] = [("lowerdir", lower), *writable, *options]
    data = ",".join(name if value is None else f"{name}={value}" for name, value in pairs)
    place = tempfile.mkdtemp(prefix="boxship-overlay-")
    try:
        mount("overlay", place, "overlay", 0, data)
        try:
            made = open_tree(place)
        finally:
            umount(place, MNT_DETACH)
    finally:
        os.rmdir(place)
    mount_setattr(made, add=attributes, propagation=MS_PRIVATE)
    return made
