"""What is hidden, read-only or set in the kernel's own filesystems."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import Final

from boxship.kernel import mounts as kernel
from boxship.kernel.paths import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV
from boxship.kernel.syscalls import AT_EMPTY_PATH, AT_RECURSIVE
from boxship.runtime.errors import BadBundle
from boxship.runtime.parts import (
    ATTACH,
    Descriptor,
    attach,
    copy_tree,
    how,
    new_filesystem,
    open_inside,
    set_attributes,
)
from boxship.runtime.program import MISSING, Program, Result, tolerating

ONLY_PROC: Final = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_NO_XDEV
WRONG_KIND: Final = tolerating(errno.ENOTDIR, errno.EINVAL)
_IPC: Final = (
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax "
    "kernel.shmmni kernel.shm_rmid_forced"
)
IPC: Final = frozenset(_IPC.split())


class Masks:
    """Covers for paths that must not be seen: made while the host is in reach, attached later."""

    def __init__(self, program: Program, paths: Sequence[str]) -> None:
        self._covers = [
            (
                path,
                copy_tree(program, "/dev/null", about="error opening /dev/null"),
                new_filesystem(
                    program,
                    "tmpfs",
                    (("source", "tmpfs"), ("nr_blocks", "1"), ("nr_inodes", "1")),
                    kernel.MOUNT_ATTR_RDONLY,
                    about="error masking paths",
                ),
            )
            for path in paths
        ]

    def attach(self, program: Program, root: Descriptor) -> None:
        """Cover each path, whatever it is; one that is not there needs none.

        A file is covered by the host's /dev/null and a folder by an empty filesystem. The kernel
        refuses the one that is of the wrong kind, so no question is asked first that could have
        another answer a moment later.
        """
        for path, null, empty in self._covers:
            about, covered, absent = f"can't mask path {path}", program.place(), program.place()
            target = open_inside(
                program, root, path, about=about, tolerated=MISSING, on_tolerated=absent
            )
            program.add(
                "move_mount", null, b"", target, b"", ATTACH,
                about=about, tolerated=WRONG_KIND, on_success=covered,
            )  # fmt: skip
            attach(program, empty, target, about=about)
            program.put(covered)
            program.put(absent)


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
