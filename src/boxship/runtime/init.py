"""The plan for a container's first process."""

from __future__ import annotations

import os
import struct
import termios
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from boxship.kernel import mounts as kernel
from boxship.kernel import namespaces
from boxship.kernel.syscalls import AT_EMPTY_PATH, AT_FDCWD
from boxship.runtime import (
    confine,
    descriptors,
    devices,
    dividing,
    entry,
    identity,
    options,
    parts,
    rootfs,
)
from boxship.runtime.api import Stdio
from boxship.runtime.errors import BadBundle
from boxship.runtime.procfs import SharedProc
from boxship.runtime.program import ANY, Program, Result
from boxship.runtime.rootfs import CgroupView
from boxship.runtime.sources import Source
from boxship.runtime.talk import FAILED, HOSTED, MAPPED, PROGRAM, READY, TERMINAL
from boxship.spec.oci import runtime as oci

INIT_PATH = "/sbin/docker-init"


class Facts(Struct, frozen=True):
    """What a plan depends on besides the spec: descriptors, and what the host is like."""

    wire: int
    root: int
    stdio: Stdio
    sources: Sequence[Source]
    join: Mapping[str, int]
    join_cgroup: Sequence[int]
    into_cgroup: int | None
    cgroup: CgroupView
    keyring: str
    filter: bytes | None = None
    filter_flags: int = 0
    console_size: tuple[int, int] | None = None
    init_program: bytes | None = None
    kept: int = 0  # descriptors from 3 on that the program is to have
    waits: bool = False  # before the program
    hooked_outside: bool = False
    shown_at: str = "/"  # where hooks of the host's find the root
    hooked_inside: bool = False
    pivot: bool = True
    new_keyring: bool = True
    dies_with_us: bool = True
    gate: int | None = None  # where the word to start comes from, if not by the wire
    proc: SharedProc | None = None  # of a pid namespace that is joined


class Plan(Struct):
    """A program, and which of its results are asked for."""

    program: Program
    flags: int  # for the clone
    cgroup: int | None = None  # to be born into
    master: Result | None = None
    has_second: bool = False  # the process that counts is a child of the one cloned
    divides_last: bool = False  # the second is made when there is nothing left to give up


def plan(spec: oci.Spec, facts: Facts) -> Plan:
    """Say, in order, what turns a new process into the container's first."""
    process, linux = _parts(spec)
    identity.check_user(process.user)
    own, joined = spaces(linux, facts.join)
    program = Program()
    made = Plan(program, 0, facts.into_cgroup)
    told = program.place()
    program.on_failure = told

    descriptors.place_streams(program, facts.stdio)
    kept = [facts.wire, facts.root, *facts.join_cgroup, *joined.values()]
    kept += [source.tree for source in facts.sources if source.tree >= 0]
    kept += range(descriptors.FIRST, descriptors.FIRST + facts.kept)
    kept += [] if facts.gate is None else [facts.gate]
    kept += facts.proc.descriptors if facts.proc else []
    descriptors.close_others(program, kept)
    _enter_namespaces(made, own, joined, facts)
    _set_up(made, spec, facts, own)
    _finish(made, spec, facts)

    program.put(told)
    program.add("write", facts.wire, FAILED, 1, tolerated=ANY)
    program.add("exit_group", 127)
    return made


def _parts(spec: oci.Spec) -> tuple[oci.Process, oci.Linux]:
    if spec.process is None:
        raise BadBundle("config.json has no process")
    return spec.process, spec.linux or oci.Linux()


def spaces(linux: oci.Linux, join: Mapping[str, int]) -> tuple[frozenset[str], Mapping[str, int]]:
    """Return which namespaces are new, and those to join with their descriptors."""
    kinds = [space.type for space in linux.namespaces]
    joined = {kind: join[kind] for kind in namespaces.FLAGS if kind in join}
    unknown = [kind for kind in kinds if kind not in namespaces.FLAGS]
    if unknown:
        raise BadBundle(f"namespace {unknown[0]!r} does not exist")
    if "mount" not in kinds or "mount" in joined:
        raise BadBundle("a container needs a mount namespace of its own")
    return frozenset(kind for kind in kinds if kind not in joined), joined


def _enter_namespaces(
    made: Plan, own: frozenset[str], joined: Mapping[str, int], facts: Facts
) -> None:
    """Join a group and namespaces, make the others.

    A user namespace comes first, since it owns those made after it. A cgroup namespace begins at
    the group that its maker is in, so it is made once that is the container's. A pid namespace
    that is joined holds the next process only: who is in there may trace it, so that one is made
    when the container is set up and all rights are given up. Hooks of the host's want to know the
    container's process before that, and so it is made at once for them.
    """
    program = made.program
    flags = sum(namespaces.FLAGS[kind] for kind in own - {"cgroup", "time"})
    later = 0
    if joined.keys() & {"user", "pid"}:
        made.has_second = True
        made.divides_last = "pid" in joined and not facts.hooked_outside
        flags, later = 0, flags
    made.flags = flags
    if "user" in own:
        parts.meet(program, facts.wire, MAPPED)
        _become_root(program)
    for file in facts.join_cgroup:
        program.add(
            "write", file, b"0", 1, about="unable to apply cgroup configuration: cgroup.procs"
        )
    for kind, descriptor in joined.items():
        flag = namespaces.FLAGS[kind]
        program.add("setns", descriptor, flag, about=f"error joining the {kind} namespace")
        if kind == "user":
            _become_root(program)
    if later:
        program.add("unshare", later, about="error creating namespaces")
    if made.has_second and not made.divides_last:
        dividing.go_on_in_child(program)
    if kinds := own & {"cgroup", "time"}:
        program.add(
            "unshare", sum(namespaces.FLAGS[kind] for kind in kinds),
            about="error creating namespaces",
        )  # fmt: skip
    if not made.divides_last:
        program.add("setsid", about="setsid")


def _become_root(program: Program) -> None:
    program.add("setresgid", 0, 0, 0, about="setgid in the user namespace")
    program.add("setresuid", 0, 0, 0, about="setuid in the user namespace")


def _set_up(made: Plan, spec: oci.Spec, facts: Facts, own: frozenset[str]) -> None:
    """Give the container its files, its name and its settings."""
    program, linux = made.program, spec.linux or oci.Linux()
    process = spec.process
    assert process is not None
    confine.check_sysctls(linux.sysctl, own | facts.join.keys())
    program.add("umask", 0)
    if facts.new_keyring:
        identity.join_keyring(program, facts.keyring)
    rootfs.leave_peers(program)
    proc_of = None if not made.divides_last else facts.proc
    trees = rootfs.make_all(program, facts.sources, facts.cgroup, proc_of)
    masks = confine.Masks(program, linux.masked_paths)
    own_dev = not any(one.tree >= 0 and one.destination == "/dev" for one in facts.sources)
    mapped = "user" in own or "user" in facts.join
    copies = devices.copy(program, linux.devices) if own_dev and mapped else []
    proc = next((tree.tree for tree in trees if tree.source.mount.type == "proc"), None)
    if proc is None and linux.sysctl:
        proc = parts.new_filesystem(program, "proc", (), 0, about="error setting sysctls")
    init_file = _make_init_program(program, facts.init_program)

    rootfs.show(program, facts.root, facts.shown_at)
    if facts.hooked_outside:
        rootfs.attach_all(program, facts.root, trees)
        parts.meet(program, facts.wire, HOSTED)
        rootfs.enter(program, facts.root, by_pivot=facts.pivot)
    else:
        rootfs.enter(program, facts.root, by_pivot=facts.pivot)
        rootfs.attach_all(program, facts.root, trees)

    if own_dev:
        if mapped:
            devices.attach_copies(program, facts.root, copies)
        else:
            devices.make(program, facts.root, linux.devices)
        devices.link(program, facts.root)
        null = devices.reopen_null(program, facts.root)
        descriptors.place_null(program, facts.stdio, null)
    if process.terminal:
        _take_terminal(made, trees, process, facts, own_dev=own_dev)
    if init_file is not None:
        _attach_init_program(program, facts.root, init_file)
    if linux.sysctl:
        assert isinstance(proc, Result)
        confine.set_sysctls(program, proc, linux.sysctl)
    _set_names(program, spec)
    confine.make_readonly(program, facts.root, linux.readonly_paths)
    masks.attach(program, facts.root)
    _make_working_folder(program, facts.root, process.cwd)
    if spec.root is not None and spec.root.readonly:
        parts.set_attributes(
            program, facts.root, add=kernel.MOUNT_ATTR_RDONLY, about="error making rootfs read-only"
        )
    if flags := options.root_propagation(linux.rootfs_propagation):
        program.add("mount", 0, b"/", 0, flags, 0, about="error setting rootfsPropagation")


def _set_names(program: Program, spec: oci.Spec) -> None:
    for call, name in (("sethostname", spec.hostname), ("setdomainname", spec.domainname)):
        if name:
            text = name.encode()
            program.add(call, text, len(text), about=call)


def _make_working_folder(program: Program, root: int, cwd: str) -> None:
    """Make the working folder where the image has none, as far as that is possible.

    Whether it worked shows when the process enters it.
    """
    here, end = "", program.place()
    for word in cwd.split("/"):
        if word in ("", ".", ".."):
            continue
        there = program.place()
        if not here:
            # Nearly always it is all there, and this one look is enough.
            program.add(
                "openat2", root, os.fsencode(cwd), parts.how(parts.FOLDER), 24,
                tolerated=ANY, on_success=end,
            )  # fmt: skip
        folder = program.add(
            "openat2", root, os.fsencode(here or "/"), parts.how(parts.FOLDER), 24, tolerated=ANY
        )
        program.add("mkdirat", folder, os.fsencode(word), 0o755, tolerated=ANY, on_tolerated=there)
        program.put(there)
        here = f"{here}/{word}"
    program.put(end)


def _take_terminal(
    made: Plan,
    trees: Sequence[rootfs.Made],
    process: oci.Process,
    facts: Facts,
    *,
    own_dev: bool,
) -> None:
    """Open a terminal, make it the controlling one and the program's streams."""
    program = made.program
    devpts = next((tree.tree for tree in trees if tree.source.mount.type == "devpts"), None)
    if devpts is None:
        raise BadBundle("a process with a terminal needs a devpts mount")
    made.master, terminal = devices.open_terminal(program, devpts)
    if process.user.uid:
        program.add("fchown", terminal, process.user.uid, identity.ALL, tolerated=ANY)
    if own_dev:
        devices.attach_console(program, facts.root, terminal)
    if not made.divides_last:
        control(program, terminal, facts.console_size, process)
    for number in range(3):
        program.add("dup3", terminal, number, 0, about="dup3")
    parts.meet(program, facts.wire, TERMINAL)
    program.add("close", made.master, tolerated=ANY)


def control(
    program: Program,
    terminal: parts.Descriptor,
    size: tuple[int, int] | None,
    process: oci.Process,
) -> None:
    """Make a terminal the controlling one of this new session."""
    if size is None and process.console_size is not None:
        size = (process.console_size.height, process.console_size.width)
    if size and any(size):
        packed = struct.pack("HHHH", *size, 0, 0)
        program.add("ioctl", terminal, termios.TIOCSWINSZ, packed, about="error sizing console")
    program.add("ioctl", terminal, termios.TIOCSCTTY, 0, about="error setting console")


def _make_init_program(program: Program, code: bytes | None) -> Result | None:
    """Put the small init into a filesystem of its own, and return a detached copy of the file."""
    if code is None:
        return None
    said = "error providing docker-init"
    folder = parts.new_filesystem(
        program, "tmpfs", (("source", "docker-init"), ("mode", "755")),
        rootfs.PLAIN & ~kernel.MOUNT_ATTR_NOEXEC, about=said,
    )  # fmt: skip
    file = parts.open_inside(
        program, folder, "docker-init", os.O_WRONLY | os.O_CREAT, mode=0o555, about=said
    )
    program.add("write", file, code, len(code), about=said)
    program.add("close", file)
    # A copy can be made only of what is attached: for a moment, in our own namespace.
    place = b"/proc"
    attached = kernel.MOVE_MOUNT_F_EMPTY_PATH
    program.add("move_mount", folder, b"", AT_FDCWD, place, attached, about=said)
    found = parts.open_inside(program, folder, "docker-init", about=said)
    flags = kernel.OPEN_TREE_CLONE | kernel.OPEN_TREE_CLOEXEC | AT_EMPTY_PATH
    copy = program.add("open_tree", found, b"", flags, about=said)
    program.add("umount2", place, kernel.MNT_DETACH, about=said)
    parts.set_attributes(
        program, copy, add=kernel.MOUNT_ATTR_RDONLY, propagation=kernel.MS_PRIVATE, about=said
    )
    return copy


def _attach_init_program(program: Program, root: int, copy: Result) -> None:
    said = 'error mounting "docker-init" to rootfs at "/sbin/docker-init"'
    parts.make_file(program, root, INIT_PATH, "/", about=said)
    target = parts.open_inside(program, root, INIT_PATH, about=said)
    parts.attach(program, copy, target, about=said)


def _finish(made: Plan, spec: oci.Spec, facts: Facts) -> None:
    """Drop what the program may not have, and become it."""
    program, asked = made.program, spec.process
    assert asked is not None
    arguments = asked.args
    if facts.init_program is not None:
        arguments = [INIT_PATH, "--", *arguments]
    process = msgspec.structs.replace(asked, args=arguments)
    low = descriptors.FIRST + facts.kept
    left = [facts.wire] if facts.gate is None else [facts.wire, facts.gate]
    descriptors.close_others(program, [*range(descriptors.FIRST, low), *left])
    identity.personality(program, spec.linux.personality if spec.linux else None)
    identity.set_limits(program, process.rlimits)
    identity.own_streams(program, process.user)
    program.add("umask", 0o022 if process.user.umask is None else process.user.umask)

    def divide() -> None:
        dividing.go_on_in_child(program)
        program.add("setsid", about="setsid")
        if process.terminal:
            control(program, 0, facts.console_size, process)

    rights = dividing.Rights(facts.filter, facts.filter_flags, facts.dies_with_us)
    rights.give_up(program, process, divide if made.divides_last else None)
    if facts.waits:
        parts.meet(program, facts.wire, READY, facts.gate)
    if facts.hooked_inside:
        parts.meet(program, facts.wire, PROGRAM)
    rights.load_late_filter(program, process)
    descriptors.close_on_exec(program, low)
    entry.become(program, arguments, process.env)
