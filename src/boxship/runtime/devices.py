"""What is in the container's /dev besides mounts: nodes, links, the console."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final

from boxship.kernel import mounts as kernel
from boxship.kernel.paths import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS
from boxship.kernel.syscalls import AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
from boxship.kernel.terminals import TIOCGPTPEER, TIOCSPTLCK
from boxship.runtime.errors import BadBundle
from boxship.runtime.parts import (
    EXISTS,
    FOLDER,
    Descriptor,
    attach,
    copy_tree,
    how,
    make_file,
    make_folders,
    open_inside,
)
from boxship.runtime.program import ANY, Program, Result, tolerating
from boxship.spec.oci import runtime as oci

KINDS: Final = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
DEFAULT: Final = {
    "/dev/null": (1, 3),
    "/dev/zero": (1, 5),
    "/dev/full": (1, 7),
    "/dev/random": (1, 8),
    "/dev/urandom": (1, 9),
    "/dev/tty": (5, 0),
}
LINKS: Final = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore",
}
# Nothing that we make in /dev may be reached through a link that is there already.
STRAIGHT: Final = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH


def wanted(devices: Sequence[oci.Device]) -> Iterator[oci.Device]:
    """Yield the nodes to make: those every container has, unless described otherwise, and more."""
    named = {device.path for device in devices}
    for path, (major, minor) in DEFAULT.items():
        if path not in named:
            yield oci.Device(type="c", path=path, major=major, minor=minor, file_mode=0o666)
    yield from devices


def make(program: Program, root: Descriptor, devices: Sequence[oci.Device]) -> None:
    """Make nodes with mknod(2)."""
    folder = open_inside(program, root, "/dev", FOLDER, about="error opening /dev")
    for device in wanted(devices):
        about = f'error creating device nodes: mknod "{device.path}"'
        if device.type not in KINDS:
            raise BadBundle(f"{device.type} is not a valid device type for {device.path}")
        before, _, name = device.path.rpartition("/")
        here: Descriptor = folder
        if before != "/dev":
            make_folders(program, root, before, "/dev" if device.path[:5] == "/dev/" else "/",
                         about=about)  # fmt: skip
            here = open_inside(program, root, before or "/", FOLDER, about=about)
        mode = KINDS[device.type] | (0o666 if device.file_mode is None else device.file_mode)
        number = os.makedev(device.major, device.minor)
        word = os.fsencode(name)
        program.add("mknodat", here, word, mode, number, about=about, tolerated=EXISTS)
        if device.uid or device.gid:
            program.add(
                "fchownat", here, word, device.uid or 0, device.gid or 0, AT_SYMLINK_NOFOLLOW,
                about=about,
            )  # fmt: skip


def copy(program: Program, devices: Sequence[oci.Device]) -> list[tuple[str, Result]]:
    """Take the host's nodes instead, where mknod(2) is not permitted (user namespaces)."""
    return [
        (device.path, copy_tree(program, device.path, about=f"error opening {device.path}"))
        for device in wanted(devices)
    ]


def attach_copies(program: Program, root: Descriptor, copies: Sequence[tuple[str, Result]]) -> None:
    """Put the host's nodes in place."""
    for path, node in copies:
        about = f'error creating device nodes: bind "{path}"'
        make_file(program, root, path, "/dev" if path[:5] == "/dev/" else "/", about=about)
        target = open_inside(program, root, path, about=about)
        attach(program, node, target, about=about)


def link(program: Program, root: Descriptor) -> None:
    """Make the links that programs expect."""
    folder = open_inside(program, root, "/dev", FOLDER, about="error opening /dev")
    for name, target in LINKS.items():
        program.add(
            "symlinkat", target.encode(), folder, name.encode(),
            about=f"error creating symlink /dev/{name}", tolerated=EXISTS,
        )  # fmt: skip
    gone = tolerating(errno.ENOENT, errno.EISDIR, errno.EPERM, errno.EBUSY)
    program.add("unlinkat", folder, b"ptmx", 0, about="error removing /dev/ptmx", tolerated=gone)
    program.add(
        "symlinkat", b"pts/ptmx", folder, b"ptmx", about="error creating /dev/ptmx",
        tolerated=EXISTS,
    )  # fmt: skip


def open_terminal(program: Program, devpts: Descriptor) -> tuple[Result, Result]:
    """Open a new terminal in the container's own devpts; return both sides.

    The filesystem is reached by the descriptor it was made with, and the other side through the
    first: no name is looked up that the image or a neighbour could have replaced.
    """
    about = "error creating console"
    master = program.add(
        "openat2", devpts, b"ptmx", how(os.O_RDWR | os.O_NOCTTY, 0, STRAIGHT), 24, about=about
    )
    program.add("ioctl", master, TIOCSPTLCK, b"\0\0\0\0", about=about)
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    return master, program.add("ioctl", master, TIOCGPTPEER, flags, about=about)


def attach_console(program: Program, root: Descriptor, terminal: Result) -> None:
    """Show the terminal at /dev/console."""
    about = "error mounting console"
    folder = open_inside(program, root, "/dev", FOLDER, about=about)
    program.add("mknodat", folder, b"console", 0o100600, 0, about=about, tolerated=EXISTS)
    target = program.add(
        "openat2", folder, b"console", how(os.O_PATH, 0, STRAIGHT), 24, about=about
    )
    flags = kernel.OPEN_TREE_CLONE | kernel.OPEN_TREE_CLOEXEC | AT_EMPTY_PATH
    node = program.add("open_tree", terminal, b"", flags, about=about)
    attach(program, node, target, about=about)


def reopen_null(program: Program, root: Descriptor) -> Result:
    """Open the container's own /dev/null, which we have just made."""
    return open_inside(
        program, root, "/dev/null", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK,
        about="error opening /dev/null", tolerated=ANY,
    )  # fmt: skip
