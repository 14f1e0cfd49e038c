"""The container's view of files: its root, its mounts, and the way in.

First, with the host in reach, every mount is made as a descriptor. Then the root is entered and
the host left behind for good, and only then are the mounts attached: by then there is nothing
outside that a link in the image, or a neighbour who swaps one, could lead to.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from msgspec import Struct

from boxship.kernel import mounts as kernel
from boxship.kernel import namespaces
from boxship.kernel.paths import CONFINED, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV
from boxship.kernel.syscalls import AT_FDCWD
from boxship.runtime.cgroups.layout import Hierarchy, Layout
from boxship.runtime.errors import BadBundle
from boxship.runtime.parts import (
    FOLDER,
    Descriptor,
    attach,
    copy_tree,
    how,
    make_file,
    make_folders,
    new_filesystem,
    open_inside,
    set_attributes,
)
from boxship.runtime.procfs import SharedProc
from boxship.runtime.program import Program, Result
from boxship.runtime.sources import Source

PLAIN = kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NODEV | kernel.MOUNT_ATTR_NOEXEC


class CgroupView(Struct, frozen=True):
    """What a cgroup mount is to show: the trees, and the container's group in them."""

    layout: Layout
    path: str
    own_namespace: bool


class Made(Struct, frozen=True):
    """A mount that exists and is attached nowhere yet; `below` lie on it, by name."""

    source: Source
    tree: Descriptor
    below: tuple[tuple[str, Result], ...] = ()


def about(source: Source) -> str:
    return f'error mounting "{source.mount.source}" to rootfs at "{source.destination}"'


def leave_peers(program: Program) -> None:
    """Let no mount that we make be seen outside; those made outside are still seen."""
    program.add(
        "mount", 0, b"/", 0, kernel.MS_REC | kernel.MS_SLAVE, 0,
        about="error setting the propagation of the mount namespace",
    )  # fmt: skip


def make_all(
    program: Program, sources: Sequence[Source], view: CgroupView, proc: SharedProc | None = None
) -> list[Made]:
    """Make every mount, with what it is asked to be like; `proc` shows other processes than the
    maker's."""
    return [_make(program, source, view, proc) for source in sources]


def _make(program: Program, source: Source, view: CgroupView, proc: SharedProc | None) -> Made:
    asked, kind, said = source.options, source.mount.type, about(source)
    if source.tree >= 0:
        _prepare_bind(program, source)
        return Made(source, source.tree)
    attrs = asked.add | asked.recursive_add
    if kind == "cgroup" and view.layout.v1:
        return _make_cgroups(program, source, view)
    if kind in ("cgroup", "cgroup2"):
        tree = _make_unified(program, view, attrs, said)
    elif kind == "proc" and proc is not None:
        tree = proc.make(program, source.mount.source or kind, asked.data, attrs, about=said)
    else:
        if asked.copy_up:
            raise BadBundle('mount option "tmpcopyup" is not supported')
        data = list(asked.data)
        if kind == "tmpfs" and source.mode >= 0 and not asked.has("mode"):
            data.append(("mode", f"{source.mode:o}"))  # as what it covers
        named = source.mount.source or kind
        tree = new_filesystem(program, kind, (("source", named), *data), attrs, about=said)
    if asked.propagation:
        set_attributes(program, tree, propagation=asked.propagation, about=said)
    return Made(source, tree)


def _prepare_bind(program: Program, source: Source) -> None:
    """Give a copied tree its flags. Unless told otherwise it is cut off from what it copies."""
    asked, said = source.options, about(source)
    everywhere = asked.recursive_propagation or not asked.propagation
    set_attributes(
        program, source.tree,
        add=asked.recursive_add, clear=asked.recursive_clear,
        propagation=asked.propagation or kernel.MS_PRIVATE, recursive=everywhere, about=said,
    )  # fmt: skip
    if not everywhere and (asked.recursive_add or asked.recursive_clear):
        set_attributes(
            program, source.tree, add=asked.recursive_add, clear=asked.recursive_clear,
            recursive=True, about=said,
        )  # fmt: skip
    if asked.add or asked.clear:
        set_attributes(program, source.tree, add=asked.add, clear=asked.clear, about=said)


def _make_unified(program: Program, view: CgroupView, attrs: int, said: str) -> Result:
    tree = view.layout.v2
    if tree is None:
        raise BadBundle("this machine has no cgroup v2 tree")
    return _make_tree(program, tree, view, attrs, said)


def _make_cgroups(program: Program, source: Source, view: CgroupView) -> Made:
    """Show the trees of v1 side by side, as the host does."""
    asked, said = source.options, about(source)
    attrs = asked.add | asked.recursive_add
    folder = new_filesystem(
        program, "tmpfs", (("source", "tmpfs"), ("mode", "755")), PLAIN, about=said
    )
    trees = [*view.layout.v1, *([view.layout.v2] if view.layout.v2 else [])]
    below = tuple(
        (os.path.basename(tree.mount), _make_tree(program, tree, view, attrs, said))
        for tree in trees
    )
    return Made(source, folder, below)


def _make_tree(
    program: Program, tree: Hierarchy, view: CgroupView, attrs: int, said: str
) -> Result:
    """Show one tree: all of it as the namespace has it, or the container's own group only."""
    if not view.own_namespace:
        made = copy_tree(program, tree.folder(view.path), about=said)
        set_attributes(program, made, add=attrs, propagation=kernel.MS_PRIVATE, about=said)
        return made
    data: list[tuple[str, str | None]] = [("source", "cgroup")]
    for controller in sorted(tree.controllers):
        if controller.startswith("name="):
            data += [("none", None), ("name", controller.removeprefix("name="))]
        else:
            data.append((controller, None))
    return new_filesystem(program, "cgroup2" if tree.unified else "cgroup", data, attrs, about=said)


JAILING = "error jailing process inside rootfs"


def show(program: Program, root: int, place: str = "/") -> None:
    """Attach the root, so that mounts can be attached to it: on top of the host's, or elsewhere.

    `place` is as the caller sees it, who may be in a chroot.
    """
    if place == "/":
        _leave_chroot(program)
    flags = kernel.MOVE_MOUNT_F_EMPTY_PATH
    program.add("move_mount", root, b"", AT_FDCWD, os.fsencode(place), flags, about=JAILING)
    if place != "/":
        _leave_chroot(program)


def _leave_chroot(program: Program) -> None:
    """Stand at the root of the mount namespace: to enter one's own again does that.

    What lies above the root of an engine in a chroot would otherwise stay in the container's
    namespace, and whoever joins it later would begin there, outside.
    """
    own = program.add("openat", AT_FDCWD, b"/proc/self/ns/mnt", os.O_CLOEXEC, 0, about=JAILING)
    program.add("setns", own, namespaces.CLONE_NEWNS, about=JAILING)
    program.add("close", own, about=JAILING)


def enter(program: Program, root: int, *, by_pivot: bool = True) -> None:
    """Make `root` the root of everything and let go of the host's."""
    said = JAILING
    program.add("fchdir", root, about=said)
    if by_pivot:
        program.add("pivot_root", b".", b".", about=f"{said}: pivot_root .")
        program.add("umount2", b".", kernel.MNT_DETACH, about=said)
    else:
        program.add("mount", b".", b"/", 0, kernel.MS_MOVE, 0, about=said)
        program.add("chroot", b".", about=said)
    program.add("chdir", b"/", about=said)
    # Whoever joins this namespace later begins on top of what lies on "/": there must be nothing.
    # From the root, ".." is the root itself and what is mounted on it; NO_XDEV refuses to go there.
    alone = how(FOLDER, 0, RESOLVE_NO_XDEV)
    program.add("openat2", AT_FDCWD, b"/..", alone, len(alone), about=f"{said}: host still there")


def attach_all(program: Program, root: Descriptor, made: Sequence[Made]) -> None:
    """Attach every mount where it belongs, parents first."""
    for mount in made:
        _attach(program, root, mount)


def _attach(program: Program, root: Descriptor, made: Made) -> None:
    source, said = made.source, about(made.source)
    if source.covered_by:
        make = make_folders if source.is_folder else make_file
        make(program, root, source.destination, source.covered_by, about=said)
    # What programs trust must be where its name says, not where a link in the image leads.
    straight = RESOLVE_NO_SYMLINKS if source.destination in ("/proc", "/sys") else 0
    target = open_inside(program, root, source.destination, about=said, resolve=CONFINED | straight)
    attach(program, made.tree, target, about=said)
    for name, tree in made.below:
        word = name.encode()
        program.add("mkdirat", made.tree, word, 0o755, about=said)
        place = open_inside(program, made.tree, name, about=said)
        attach(program, tree, place, about=said)
    if made.below:
        for alias, real in _aliases(name for name, _ in made.below):
            program.add("symlinkat", real.encode(), made.tree, alias.encode(), about=said)
        if source.options.readonly:
            set_attributes(program, made.tree, add=kernel.MOUNT_ATTR_RDONLY, about=said)


def _aliases(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the links to trees that hold several controllers, as in `cpu,cpuacct`."""
    return [(alias, name) for name in names if "," in name for alias in name.split(",")]
