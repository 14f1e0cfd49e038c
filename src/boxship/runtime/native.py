"""The runtime of our own: from a bundle to processes, by one table of system calls each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec

from boxship.errors import BoxshipError
from boxship.kernel import processes
from boxship.kernel.namespaces import CLONE_PARENT
from boxship.kernel.syscalls import MACHINE
from boxship.runtime import (
    cgroups,
    consoles,
    enter,
    holding,
    hooks,
    init,
    options,
    seccomp,
    sources,
)
from boxship.runtime.api import CreateRequest, ExecRequest, Init, Stdio
from boxship.runtime.cgroups import Cgroup, CgroupTree, layout
from boxship.runtime.errors import NoSuchContainer, StartFailed, WrongState, exit_code_of
from boxship.runtime.launch import Executor, Launched, Meeting
from boxship.runtime.mapping import write_maps
from boxship.runtime.memory import Memory
from boxship.runtime.plain import PlainExecutor
from boxship.runtime.rootfs import CgroupView
from boxship.runtime.small_init import code_of_init
from boxship.runtime.table import STUBS, TableExecutor
from boxship.spec.oci import runtime as oci

CREATING: Final = "OCI runtime create failed: runc create failed: unable to start container process"
EXECUTING: Final = "OCI runtime exec failed: exec failed: unable to start container process"
DEFAULT_GROUP: Final = "/boxship"


def default_executor() -> Executor:
    """Return the better of the two executors that this machine can have."""
    return TableExecutor() if MACHINE in STUBS else PlainExecutor()


class Terms(msgspec.Struct, frozen=True):
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


class NativeRuntime:
    """Starts containers as children of the calling process, which must have one thread."""

    def __init__(
        self,
        executor: Executor | None = None,
        tree: CgroupTree | None = None,
        *,
        filters: str | None = None,
        terms: Terms | None = None,
    ) -> None:
        """Look at the machine; `filters` is a folder in which compiled filters are kept."""
        self._executor = executor or default_executor()
        self._tree = tree or cgroups.detect()
        self._layout = layout.here()
        self._filters = filters
        self._terms = terms or Terms()
        self._waiting: dict[int, tuple[Launched, CreateRequest]] = {}  # by pid
        self._containers: dict[str, Cgroup] = {}
        self._flags = 0  # of every clone that starts what was asked for
        # Our memory is the container's first process's too until its program runs.
        processes.set_dumpable(False)

    def start_siblings(self) -> None:
        """Start everything as a child of this process's parent, from now on.

        The kernel tells that parent of its end, and by dying it ends what dies with its keeper.
        """
        self._flags = CLONE_PARENT

    def rehearse(self, sample: oci.Spec) -> None:
        """Plan a container and lay the plan out, for nobody: memory that was used is faster."""
        facts = init.Facts(
            wire=-1,
            root=-1,
            stdio=Stdio(),
            sources=[
                sources.Source(mount, mount.destination, options.parse(mount.options))
                for mount in sample.mounts
            ],
            join={},
            join_cgroup=[],
            into_cgroup=None,
            cgroup=CgroupView(self._layout, DEFAULT_GROUP, has(sample, "cgroup")),
            keyring="",
        )
        Memory(init.plan(sample, facts).program, (0, 0, 0)).close()

    def adopt(self, container: str, cgroup: str) -> None:
        """Know a container that another process has started for this one."""
        self._containers[container] = self._tree.open(cgroup or f"{DEFAULT_GROUP}/{container}")

    # -- the first process

    def create(self, request: CreateRequest) -> Init:
        """Set a container up to where only the program's start is missing."""
        with told_as(CREATING):
            launched = self._launch(request, until=init.READY)
        self._waiting[launched.pid] = launched, request
        return Init(launched.pid, launched.pidfd, launched.master)

    def start(self, init: Init) -> None:
        """Let a created container's program run; StartFailed when it cannot."""
        waiting = self._waiting.pop(init.pid, None)
        if waiting is None:
            raise WrongState("cannot start an already running container")
        launched, request = waiting
        with told_as(CREATING):
            launched.go_on()
            launched.follow(self._meetings(request))
        launched.close()

    def run(self, request: CreateRequest) -> Init:
        """Create and start in one go."""
        with told_as(CREATING):
            launched = self._launch(request, until=b"")
        launched.close()
        return Init(launched.pid, launched.pidfd, launched.master)

    def _launch(self, request: CreateRequest, *, until: bytes) -> Launched:
        spec, terms = request.spec, self._terms
        with ExitStack() as undo, ExitStack() as held:
            group = self._make_group(request)
            undo.callback(self.delete, request.id)
            wire, theirs = holding.wire(undo, held)
            join, into = _ways_in(group, held)
            facts = init.Facts(
                wire=theirs.fileno(),
                root=holding.copy(request.root, held),
                stdio=holding.streams(request.stdio, held),
                sources=sources.gather(
                    spec.mounts, request.root, request.bundle, held, request.trees
                ),
                join=holding.joined(spec, request.join, request.netns, held),
                join_cgroup=join,
                into_cgroup=into,
                cgroup=CgroupView(self._layout, group.path, has(spec, "cgroup")),
                keyring=request.id,
                filter=self._filter(spec),
                filter_flags=filter_flags(spec),
                console_size=request.console_size,
                init_program=code_of_init() if request.init_program else None,
                waits=bool(until),
                hooked_outside=hooks.any_outside(spec.hooks),
                shown_at=shown_at(request),
                hooked_inside=terms.hooks_inside and hooks.any_inside(spec.hooks),
                kept=terms.kept,
                gate=None if terms.gate is None else holding.high(terms.gate, held),
                dies_with_us=terms.dies_with_us,
                pivot=terms.pivot,
                new_keyring=terms.new_keyring,
            )
            plan = init.plan(spec, facts)
            plan.flags |= self._flags
            score = spec.process.oom_score_adj if spec.process else None
            launched = Launched(self._executor, plan, wire, score)
            undo.callback(launched.abandon)
            theirs.close()
            launched.follow(self._meetings(request), until)
            undo.pop_all()
            return launched

    def _make_group(self, request: CreateRequest) -> Cgroup:
        linux = request.spec.linux or oci.Linux()
        path = linux.cgroups_path or f"{DEFAULT_GROUP}/{request.id}"
        group = self._tree.create(path, linux.resources)
        self._containers[request.id] = group
        return group

    def _meetings(self, request: CreateRequest) -> Mapping[bytes, Meeting]:
        """What to do at each place where the new process waits for us."""
        spec, linux = request.spec, request.spec.linux or oci.Linux()
        kinds = [space.type for space in linux.namespaces]

        def state(launched: Launched) -> oci.State:
            return oci.State(
                id=request.id,
                status="creating",
                pid=launched.pid,
                bundle=request.bundle,
                annotations=spec.annotations,
            )

        return {
            init.MAPPED: lambda launched: write_maps(launched.pid, linux),
            init.HOSTED: lambda launched: hooks.run_outside(
                spec.hooks, state(launched), launched.pidfd, kinds
            ),
            init.TERMINAL: lambda launched: launched.take_master(),
            init.PROGRAM: lambda launched: self.run_hooks_inside(
                spec, Init(launched.pid, launched.pidfd), state(launched)
            ),
        }

    def run_hooks_inside(self, spec: oci.Spec, there: Init, state: oci.State) -> None:
        """Run the hooks that belong to the container's side, as processes in it."""
        listed = spec.hooks.start_container if spec.hooks else []
        for number, hook in enumerate(listed):
            if code := self._run_hook(spec, there, hook, state):
                raise StartFailed(
                    f"error running startContainer hook #{number}: exit status {code}"
                )

    def _run_hook(self, spec: oci.Spec, there: Init, hook: oci.Hook, state: oci.State) -> int:
        assert spec.process is not None
        process = msgspec.structs.replace(
            spec.process, args=[hook.path, *hook.args[1:]], env=hook.env, terminal=False
        )
        stdin, tells = os.pipe2(os.O_CLOEXEC)
        with open(tells, "wb", buffering=0) as told, open(stdin, "rb", buffering=0):
            made = self._exec(  # as a child of our own, to wait for
                ExecRequest(state.id, there, spec, process, Stdio(stdin=stdin)), 0
            )
            told.write(msgspec.json.encode(state))
        ended = processes.wait(made.pidfd)
        os.close(made.pidfd)
        return processes.exit_code(ended) if ended else 0

    # -- further processes

    def exec(self, request: ExecRequest) -> Init:
        """Run one more program inside; its terminal is one of the container's own."""
        return self._exec(request, self._flags)

    def _exec(self, request: ExecRequest, flags: int) -> Init:
        with told_as(EXECUTING), ExitStack() as undo, ExitStack() as held:
            process = request.process
            wire, theirs = holding.wire(undo, held)
            master = slave = None
            if process.terminal:
                master, slave = consoles.open_in(request.init.pid, process.user.uid)
                undo.callback(os.close, master)
                held.callback(os.close, slave)
                slave = holding.high(slave, held)
            join, into = _ways_in(self._group(request), held)
            facts = enter.Facts(
                wire=theirs.fileno(),
                pidfd=holding.copy(request.init.pidfd, held),
                stdio=holding.streams(request.stdio, held),
                join_cgroup=join,
                into_cgroup=into,
                keyring=request.id,
                terminal=slave,
                filter=self._filter(request.spec),
                filter_flags=filter_flags(request.spec),
                console_size=request.console_size,
                kept=self._terms.kept,
                dies_with_us=self._terms.dies_with_us,
                new_keyring=self._terms.new_keyring,
            )
            plan = enter.plan(request.spec, process, facts)
            plan.flags |= flags
            launched = Launched(self._executor, plan, wire, process.oom_score_adj)
            undo.callback(launched.abandon)
            theirs.close()
            launched.follow({})
            launched.close()
            undo.pop_all()
            return Init(launched.pid, launched.pidfd, master)

    def _group(self, request: ExecRequest) -> Cgroup:
        kept = self._containers.get(request.id)
        if kept is not None:
            return kept
        linux = request.spec.linux or oci.Linux()
        return self._tree.open(linux.cgroups_path or f"{DEFAULT_GROUP}/{request.id}")

    def _filter(self, spec: oci.Spec) -> bytes | None:
        profile = spec.linux.seccomp if spec.linux else None
        return seccomp.compiled(profile, MACHINE, self._filters) if profile else None

    def group(self, container: str) -> Cgroup:
        """Return the control group of a container."""
        return self._kept(container)

    # -- the end

    def kill_all(self, container: str) -> None:
        """Kill every process of a container."""
        self._kept(container).kill()

    def delete(self, container: str) -> None:
        """Remove what the runtime keeps for a container that has ended: its cgroup."""
        self._kept(container).remove()
        del self._containers[container]

    def _kept(self, container: str) -> Cgroup:
        try:
            return self._containers[container]
        except KeyError:
            raise NoSuchContainer(container) from None


def _ways_in(group: Cgroup, held: ExitStack) -> tuple[list[int], int | None]:
    """Return the files by which a new process joins v1's groups, and v2's to be born into."""
    way = group.entrance()
    if way.into is not None:
        held.callback(os.close, way.into)
    return holding.own(way.files, held), way.into


@contextmanager
def told_as(prefix: str) -> Iterator[None]:
    """Tell failures as clients know them: with what was tried before, and `unknown` after."""
    try:
        yield
    except StartFailed as failure:
        hint = f": {failure.hint}" if failure.hint else ""
        message = f"{prefix}: {failure.message}: unknown{hint}"
        raise StartFailed(message, failure.exit_code) from failure
    except BoxshipError as failure:
        raise StartFailed(f"{prefix}: {failure}: unknown") from failure
    except OSError as failure:
        code = exit_code_of(failure.errno or 0)
        raise StartFailed(f"{prefix}: {failure}: unknown", code) from failure


def has(spec: oci.Spec, kind: str) -> bool:
    """Whether a container has a namespace of a kind for itself."""
    return any(space.type == kind for space in (spec.linux.namespaces if spec.linux else ()))


def shown_at(request: CreateRequest) -> str:
    """Return where hooks of the host's look for the root: the bundle says where."""
    if not hooks.any_outside(request.spec.hooks):
        return "/"
    root = request.spec.root
    path = os.path.join(request.bundle, root.path if root else "rootfs")
    if not os.path.isdir(path):
        raise StartFailed(f"the hooks need the folder {path}, where the root is to be seen")
    return path


def filter_flags(spec: oci.Spec) -> int:
    """Return what the container's filter is loaded with."""
    profile = spec.linux.seccomp if spec.linux else None
    return seccomp.flags_of(profile) if profile else 0
