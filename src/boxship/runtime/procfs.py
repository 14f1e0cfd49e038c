"""The proc filesystem of a container that shares another's processes.

A new proc filesystem shows the processes of its maker's pid namespace, and the maker stays outside
the one that is joined. From Linux 6.17 on the namespace can be named instead. Before that, what is
mounted already in another container of that namespace is copied: nobody but a process inside could
make one, and that one would have the rights for it where it can be traced.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from typing import Final

from msgspec import Struct

from boxship.kernel import mounts as kernel
from boxship.kernel import namespaces, paths
from boxship.kernel.syscalls import AT_EMPTY_PATH, AT_FDCWD, syscall
from boxship.runtime import holding
from boxship.runtime.errors import BadBundle, StartFailed
from boxship.runtime.parts import new_filesystem, set_attributes
from boxship.runtime.program import Program, Result

MOST: Final = 64  # processes of the other container that are asked for their /proc
SETTABLE: Final = (
    kernel.MOUNT_ATTR_RDONLY
    | kernel.MOUNT_ATTR_NOSUID
    | kernel.MOUNT_ATTR_NODEV
    | kernel.MOUNT_ATTR_NOEXEC
)


class SharedProc(Struct, frozen=True):
    """Where a proc filesystem comes from that shows a pid namespace's processes.

    `namespace` can be named to a kernel that understands it; otherwise `tree` is one that is
    mounted in the mount namespace `spaces`.
    """

    namespace: int
    tree: int = -1
    spaces: int = -1

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What the maker needs besides the namespace."""
        return () if self.tree < 0 else (self.tree, self.spaces)

    def make(
        self,
        program: Program,
        source: str,
        data: Sequence[tuple[str, str | None]],
        attrs: int,
        *,
        about: str,
    ) -> Result:
        """Make the detached mount."""
        if self.tree < 0:
            options = (("source", source), *data)
            given = (("pidns", self.namespace),)
            return new_filesystem(program, "proc", options, attrs, given=given, about=about)
        if data:
            raise BadBundle("the options of a shared /proc are those that it was mounted with")
        return self._copy(program, attrs, about)

    def _copy(self, program: Program, attrs: int, about: str) -> Result:
        """Copy the mount there: the kernel copies only what the caller's namespace has."""
        own = program.add("openat", AT_FDCWD, b"/proc/self/ns/mnt", os.O_CLOEXEC, 0, about=about)
        program.add("setns", self.spaces, namespaces.CLONE_NEWNS, about=about)
        flags = kernel.OPEN_TREE_CLONE | kernel.OPEN_TREE_CLOEXEC | AT_EMPTY_PATH
        tree = program.add("open_tree", self.tree, b"", flags, about=about)
        program.add("setns", own, namespaces.CLONE_NEWNS, about=about)
        program.add("close", own, about=about)
        set_attributes(
            program, tree,
            add=attrs, clear=SETTABLE & ~attrs, propagation=kernel.MS_PRIVATE, about=about,
        )  # fmt: skip
        return tree


def shared(namespace: int | None, held: ExitStack, number: int | None = None) -> SharedProc | None:
    """Return where the proc filesystem for a joined pid namespace comes from; None without one.

    What is opened is closed by `held`. The result names the namespace by `number` if its user
    knows it by that.
    """
    if namespace is None:
        return None
    known_as = namespace if number is None else number
    if can_be_named():
        return SharedProc(known_as)
    found = _mounted(namespace)
    if found is None:
        raise StartFailed("the container whose processes are to be shared has no /proc of its own")
    tree, spaces = holding.own(found, held)
    return SharedProc(known_as, tree, spaces)


@cache
def can_be_named() -> bool:
    """Whether this kernel makes a proc filesystem for any pid namespace."""
    context = syscall("fsopen", b"proc", kernel.FSOPEN_CLOEXEC)
    try:
        own = namespaces.open_namespace("self", "pid")
        try:
            syscall("fsconfig", context, kernel.FSCONFIG_SET_FD, b"pidns", 0, own)
        finally:
            os.close(own)
    except OSError:
        return False
    finally:
        os.close(context)
    return True


def _mounted(namespace: int) -> tuple[int, int] | None:
    """Return a mounted proc filesystem that shows a pid namespace, and where it is mounted.

    Its container may do what it likes to its /proc, so what is found there is looked at.
    """
    wanted = os.fstat(namespace)
    for pid in _inside(wanted):
        with suppress(OSError), ExitStack() as undo:
            root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_CLOEXEC)
            undo.callback(os.close, root)
            spaces = namespaces.open_namespace(pid, "mount")
            undo.callback(os.close, spaces)
            straight = paths.CONFINED | paths.RESOLVE_NO_SYMLINKS
            tree = paths.open_in_root(root, "/proc", os.O_PATH, resolve=straight)
            undo.callback(os.close, tree)
            if _shows(tree, pid, wanted):
                undo.pop_all()
                os.close(root)
                return tree, spaces
    return None


def _inside(wanted: os.stat_result) -> Iterator[int]:
    """Yield processes that are in a pid namespace, which is known by its file's status."""
    left = MOST
    for name in os.listdir("/proc"):
        if left and name.isdigit():
            with suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/{name}/ns/pid"), wanted):
                    left -= 1
                    yield int(name)


def _shows(tree: int, pid: int, wanted: os.stat_result) -> bool:
    """Whether what a process has at /proc is a proc filesystem of a namespace.

    A filesystem that its container serves itself is told apart before it is asked anything, and
    what else may lie on the way to the answer is refused.
    """
    if not _is_proc(tree, pid):
        return False
    alone = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_XDEV | paths.RESOLVE_NO_SYMLINKS
    link = paths.openat2(tree, b"1/ns/pid", os.O_PATH | os.O_NOFOLLOW, 0, alone)
    try:
        return os.readlink("", dir_fd=link) == f"pid:[{wanted.st_ino}]"
    finally:
        os.close(link)


def _is_proc(tree: int, pid: int) -> bool:
    """Whether a descriptor is of the whole of a proc filesystem, by the kernel's list of mounts."""
    with open(f"/proc/self/fdinfo/{tree}", encoding="ascii") as file:
        number = next(line.split()[1] for line in file if line.startswith("mnt_id:"))
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if words[0] == number:
                return words[3] == "/" and words[words.index("-") + 1] == "proc"
    return False
