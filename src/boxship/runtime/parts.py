"""Pieces that several parts of a plan are made of: opening inside the root, mounts, signs."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from boxship.kernel import mounts as kernel
from boxship.kernel.paths import CONFINED, HOW
from boxship.kernel.syscalls import AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE
from boxship.runtime.program import VALUE, Place, Program, Result, Scratch, tolerating

EXISTS: Final = tolerating(errno.EEXIST)
CHANGED: Final = tolerating(errno.EAGAIN)
ABSENT: Final = tolerating(errno.ENOENT)
ATTACH: Final = kernel.MOVE_MOUNT_F_EMPTY_PATH | kernel.MOVE_MOUNT_T_EMPTY_PATH
FOLDER: Final = os.O_PATH | os.O_DIRECTORY
Descriptor = int | Result


@lru_cache(maxsize=64)
def how(flags: int, mode: int = 0, resolve: int = CONFINED) -> bytes:
    """Return openat2's third argument."""
    return HOW.pack(flags | os.O_CLOEXEC, mode, resolve)


@lru_cache(maxsize=64)
def attributes(add: int, clear: int = 0, propagation: int = 0) -> bytes:
    """Return mount_setattr's fourth argument."""
    return struct.pack("QQQQ", add, clear, propagation, 0)


def open_inside(
    program: Program,
    root: Descriptor,
    path: str,
    flags: int = os.O_PATH,
    *,
    about: str,
    resolve: int = CONFINED,
    mode: int = 0,
    tolerated: int = 0,
    on_tolerated: Place | None = None,
) -> Result:
    """Open `path` as the container sees it: nothing outside `root` can be reached.

    A path with `..` in it has to be walked again when something is renamed or mounted meanwhile,
    anywhere: the kernel cannot tell then whether it has stayed inside.
    """
    again = program.place()
    program.put(again)
    opened = program.add(
        "openat2",
        root,
        os.fsencode(path),
        how(flags, mode, resolve),
        HOW.size,
        about=about,
        tolerated=CHANGED,
        on_tolerated=again,
        lenient=bool(tolerated),
    )
    if tolerated:
        program.add(VALUE, opened, about=about, tolerated=tolerated, on_tolerated=on_tolerated)
    return opened


def make_folders(program: Program, root: Descriptor, path: str, below: str, *, about: str) -> None:
    """Make the folders of `path` that lie below the folder `below`, which is there."""
    here = below.rstrip("/")
    for word in path[len(here) :].split("/"):
        if word and word != ".":
            folder = open_inside(program, root, here or "/", FOLDER, about=about)
            program.add("mkdirat", folder, os.fsencode(word), 0o755, about=about, tolerated=EXISTS)
            here = f"{here}/{word}"


def make_file(program: Program, root: Descriptor, path: str, below: str, *, about: str) -> None:
    """Make `path`, an empty file, and its folders that lie below `below`."""
    before, _, name = path.rstrip("/").rpartition("/")
    if len(before) > len(below.rstrip("/")):
        make_folders(program, root, before, below, about=about)
    folder = open_inside(program, root, before or "/", FOLDER, about=about)
    program.add("mknodat", folder, os.fsencode(name), 0o100644, 0, about=about, tolerated=EXISTS)


def new_filesystem(
    program: Program,
    fstype: str,
    data: Iterable[tuple[str, str | None]],
    attrs: int,
    *,
    given: Iterable[tuple[str, int]] = (),
    about: str,
) -> Result:
    """Make a filesystem; the result is its detached mount. `given` options are descriptors."""
    context = program.add("fsopen", fstype.encode(), kernel.FSOPEN_CLOEXEC, about=about)
    for name, value in data:
        if value is None:
            program.add(
                "fsconfig", context, kernel.FSCONFIG_SET_FLAG, name.encode(), 0, 0, about=about
            )
        else:
            text = os.fsencode(value)
            program.add(
                "fsconfig", context, kernel.FSCONFIG_SET_STRING, name.encode(), text, 0,
                about=about,
            )  # fmt: skip
    for name, descriptor in given:
        program.add(
            "fsconfig", context, kernel.FSCONFIG_SET_FD, name.encode(), 0, descriptor, about=about
        )
    program.add("fsconfig", context, kernel.FSCONFIG_CMD_CREATE, 0, 0, 0, about=about)
    return program.add("fsmount", context, kernel.FSMOUNT_CLOEXEC, attrs, about=about)


def set_attributes(
    program: Program,
    mount: Descriptor,
    *,
    add: int = 0,
    clear: int = 0,
    propagation: int = 0,
    recursive: bool = False,
    about: str,
) -> None:
    """Change a mount's flags or propagation."""
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    packed = attributes(add, clear, propagation)
    program.add("mount_setattr", mount, b"", flags, packed, len(packed), about=about)


def attach(program: Program, mount: Descriptor, target: Descriptor, *, about: str) -> None:
    """Attach a detached mount on top of what a descriptor names."""
    program.add("move_mount", mount, b"", target, b"", ATTACH, about=about)


def copy_tree(program: Program, path: str, *, about: str) -> Result:
    """Return a detached copy of what a path of the host shows; before the root is left only."""
    flags = kernel.OPEN_TREE_CLONE | kernel.OPEN_TREE_CLOEXEC
    return program.add("open_tree", AT_FDCWD, os.fsencode(path), flags, about=about)


SIGN: Final = Scratch("sign", 8)


def meet(program: Program, wire: int, sign: bytes, gate: int | None = None) -> None:
    """Tell whoever started us where we are, and wait until they say that we may go on.

    If they are gone there is nobody to run for; unless the word comes by a `gate`, which anyone
    may open later.
    """
    go_on = program.place()
    program.add("write", wire, sign, 1)
    program.add("read", wire if gate is None else gate, SIGN, 1, on_success=go_on, if_nonzero=True)
    program.add("exit_group", 1)
    program.put(go_on)
