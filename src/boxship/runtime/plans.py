"""From a request to a plan: what of planning depends on this machine, and on who asks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from msgspec import Struct

from boxship.kernel.syscalls import MACHINE
from boxship.runtime import enter, hooks, init, seccomp
from boxship.runtime.api import CreateRequest, ExecRequest, Stdio
from boxship.runtime.cgroups import Cgroup, CgroupTree, layout
from boxship.runtime.errors import StartFailed
from boxship.runtime.init import Plan
from boxship.runtime.procfs import SharedProc
from boxship.runtime.rootfs import CgroupView
from boxship.runtime.small_init import code_of_init
from boxship.runtime.sources import Source
from boxship.spec.oci import runtime as oci

DEFAULT_GROUP = "/boxship"


class Terms(Struct, frozen=True):
    """How a process stands to the one that starts it; a shim and a command differ in this.

    `kept` descriptors from 3 on go to the program. With a `gate`, a created container waits for a
    byte from there, whoever started it may be gone.
    """

    kept: int = 0
    gate: int | None = None
    dies_with_us: bool = True
    pivot: bool = True
    new_keyring: bool = True
    hooks_inside: bool = True  # whether the one that starts it runs those


class Held(Struct):
    """Descriptors under the numbers that they have in the process that will clone the new one."""

    wire: int
    stdio: Stdio
    join_cgroup: Sequence[int]
    into_cgroup: int | None
    root: int = -1
    sources: Sequence[Source] = ()
    join: Mapping[str, int] = {}
    gate: int | None = None
    init: int = -1  # a pidfd of the container's first process
    terminal: int | None = None
    proc: SharedProc | None = None


class Plans:
    """Plans for first processes and for further ones."""

    def __init__(self, tree: CgroupTree, filters: str | None, terms: Terms) -> None:
        """`filters` is a folder in which compiled filters are kept."""
        self.tree = tree
        self.terms = terms
        self._filters = filters
        self._layout = layout.here()

    def first(self, request: CreateRequest, group: str, held: Held, *, waits: bool) -> Plan:
        """Plan a container's first process; `group` is the path of its control group."""
        spec, terms = request.spec, self.terms
        facts = init.Facts(
            wire=held.wire,
            root=held.root,
            stdio=held.stdio,
            sources=held.sources,
            join=held.join,
            join_cgroup=held.join_cgroup,
            into_cgroup=held.into_cgroup,
            cgroup=CgroupView(self._layout, group, has(spec, "cgroup")),
            keyring=request.id,
            filter=self._filter(spec),
            filter_flags=_filter_flags(spec),
            console_size=request.console_size,
            init_program=code_of_init() if request.init_program else None,
            waits=waits,
            hooked_outside=hooks.any_outside(spec.hooks),
            shown_at=_shown_at(request),
            hooked_inside=terms.hooks_inside and hooks.any_inside(spec.hooks),
            kept=terms.kept,
            gate=held.gate,
            proc=held.proc,
            dies_with_us=terms.dies_with_us,
            pivot=terms.pivot,
            new_keyring=terms.new_keyring,
        )
        return init.plan(spec, facts)

    def further(self, request: ExecRequest, held: Held) -> Plan:
        """Plan one more process for a container that runs."""
        facts = enter.Facts(
            wire=held.wire,
            pidfd=held.init,
            stdio=held.stdio,
            join_cgroup=held.join_cgroup,
            into_cgroup=held.into_cgroup,
            keyring=request.id,
            terminal=held.terminal,
            filter=self._filter(request.spec),
            filter_flags=_filter_flags(request.spec),
            console_size=request.console_size,
            kept=self.terms.kept,
            dies_with_us=self.terms.dies_with_us,
            new_keyring=self.terms.new_keyring,
        )
        return enter.plan(request.spec, request.process, facts)

    def make_group(self, request: CreateRequest) -> Cgroup:
        """Make a container's control group."""
        resources = request.spec.linux.resources if request.spec.linux else None
        return self.tree.create(path_of_group(request.id, request.spec), resources)

    def _filter(self, spec: oci.Spec) -> bytes | None:
        profile = spec.linux.seccomp if spec.linux else None
        return seccomp.compiled(profile, MACHINE, self._filters) if profile else None


def path_of_group(container: str, spec: oci.Spec) -> str:
    """Return the path of a container's control group, as its spec names it."""
    asked = spec.linux.cgroups_path if spec.linux else ""
    return asked or f"{DEFAULT_GROUP}/{container}"


def has(spec: oci.Spec, kind: str) -> bool:
    """Whether a container has a namespace of a kind for itself."""
    return any(space.type == kind for space in (spec.linux.namespaces if spec.linux else ()))


def _shown_at(request: CreateRequest) -> str:
    """Return where hooks of the host's look for the root: the bundle says where."""
    if not hooks.any_outside(request.spec.hooks):
        return "/"
    root = request.spec.root
    path = os.path.join(request.bundle, root.path if root else "rootfs")
    if not os.path.isdir(path):
        raise StartFailed(f"the hooks need the folder {path}, where the root is to be seen")
    return path


def _filter_flags(spec: oci.Spec) -> int:
    """Return what the container's filter is loaded with."""
    profile = spec.linux.seccomp if spec.linux else None
    return seccomp.flags_of(profile) if profile else 0
