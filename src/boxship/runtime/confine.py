"""What is hidden, read-only or set in the kernel's own filesystems."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from boxship.kernel import mounts as kernel
from boxship.kernel.paths import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV
from boxship.kernel.syscalls import AT_EMPTY_PATH, AT_RECURSIVE
from boxship.runtime.errors import BadBundle
from boxship.runtime.parts import (
    FOLDER,
    Descriptor,
    attach,
    copy_tree,
    how,
    new_filesystem,
    open_inside,
    set_attributes,
)
from boxship.runtime.program import MISSING, Program, Result

ONLY_PROC: Final = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_NO_XDEV
_IPC: Final = (
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax "
    "kernel.shmmni kernel.shm_rmid_forced"
)
IPC: Final = frozenset(_IPC.split())


class Masks:
    """Covers for paths that must not be seen.

    What is to cover a file is taken while the host is in reach: one copy of its /dev/null, for the
    first file that there is. The others get copies of that. To close a mount that was attached
    nowhere takes the kernel up to a millisecond, so none is made that may not be needed.
    """

    def __init__(self, program: Program, paths: Sequence[str]) -> None:
        self._paths = paths
        if paths:
            self._null = copy_tree(program, "/dev/null", about="error opening /dev/null")

    def attach(self, program: Program, root: Descriptor) -> None:
        """Cover each path, whatever it is; one that is not there needs none.

        A folder is covered by an empty filesystem, anything else by the host's /dev/null. What is
        covered is what was opened, and the kernel refuses a cover of the wrong kind. The calls are
        there twice: once the first file has been covered, it goes on with the others.
        """
        after = [program.place() for _ in self._paths]
        end = program.place()
        for path, place in zip(self._paths, after, strict=True):
            with _target(program, root, path) as (file, about):
                attach(program, self._null, file, about=about)
                program.jump(place)
        program.jump(end)
        for path, place in zip(self._paths[1:], after, strict=False):
            program.put(place)
            with _target(program, root, path) as (file, about):
                flags = kernel.OPEN_TREE_CLONE | kernel.OPEN_TREE_CLOEXEC | AT_EMPTY_PATH
                copy = program.add("open_tree", self._null, b"", flags, about=about)
                attach(program, copy, file, about=about)
        for place in after[-1:]:
            program.put(place)
        program.put(end)


@contextmanager
def _target(program: Program, root: Descriptor, path: str) -> Iterator[tuple[Result, str]]:
    """Cover a path that is a folder; the block is for one that is anything else."""
    about, other, done = f"can't mask path {path}", program.place(), program.place()
    folder = open_inside(
        program, root, path, FOLDER, about=about, tolerated=MISSING, on_tolerated=other
    )
    attach(program, _empty(program), folder, about=about)
    program.jump(done)
    program.put(other)
    yield (
        open_inside(program, root, path, about=about, tolerated=MISSING, on_tolerated=done),
        about,
    )
    program.put(done)


def _empty(program: Program) -> Result:
    return new_filesystem(
        program,
        "tmpfs",
        (("source", "tmpfs"), ("nr_blocks", "1"), ("nr_inodes", "1")),
        kernel.MOUNT_ATTR_RDONLY,
        about="error masking paths",
    )


def make_readonly(program: Program, root: Descriptor, paths: Sequence[str]) -> None:
    """Let paths be seen but not written to."""
    for path in paths:
        about, absent = f"can't make {path} read-only", program.place()
        target = open_inside(
            program, root, path, about=about, tolerated=MISSING, on_tolerated=absent
        )
        flags = kernel.OPEN_TREE_CLONE | kernel.OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE
        copy = program.add("open_tree", target, b"", flags, about=about)
        set_attributes(program, copy, add=kernel.MOUNT_ATTR_RDONLY, recursive=True, about=about)
        attach(program, copy, target, about=about)
        program.put(absent)


def check_sysctls(settings: Mapping[str, str], own: frozenset[str]) -> None:
    """Refuse settings of the host: those that are not the container's own namespaces'."""
    for name in settings:
        key = as_path(name).replace("/", ".")
        if key in IPC or key.startswith("fs.mqueue."):
            needed, known = "ipc", True
        elif key.startswith("net."):
            needed, known = "network", True
        elif key in ("kernel.hostname", "kernel.domainname"):
            needed, known = "uts", key == "kernel.domainname"
        else:
            needed, known = "", False
        if not known or ".." in as_path(name).split("/"):
            raise BadBundle(f'sysctl "{name}" is not in a separate kernel namespace')
        if needed not in own:
            raise BadBundle(f'sysctl "{name}" is not allowed in the hosts {needed} namespace')


def as_path(name: str) -> str:
    """Return a setting's path below /proc/sys; either separator may be used, the first counts."""
    first = next((letter for letter in name if letter in "./"), ".")
    return name.replace(".", "/") if first == "." else name


def set_sysctls(program: Program, proc: Result, settings: Mapping[str, str]) -> None:
    """Write settings through the proc filesystem that we made ourselves, by its descriptor."""
    for name, value in settings.items():
        path = f"sys/{as_path(name)}"
        about = f"error setting sysctl: open /proc/{path}"
        file = program.add(
            "openat2", proc, os.fsencode(path), how(os.O_WRONLY, 0, ONLY_PROC), 24, about=about
        )
        text = os.fsencode(value)
        program.add("write", file, text, len(text), about=f"error setting sysctl: write {path}")
