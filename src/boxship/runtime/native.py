"""The runtime of our own: from a bundle to processes, by one table of system calls each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack

import msgspec

from boxship.kernel import processes
from boxship.kernel.namespaces import CLONE_PARENT
from boxship.kernel.syscalls import MACHINE
from boxship.runtime import cgroups, consoles, executor, holding, hooks, procfs, sources, talk
from boxship.runtime.api import CreateRequest, ExecRequest, Init, Stdio
from boxship.runtime.cgroups import Cgroup, CgroupTree, scopes
from boxship.runtime.cgroups.tree import EMPTY_WITHIN
from boxship.runtime.errors import NoSuchContainer, StartFailed, WrongState
from boxship.runtime.executor import Executor
from boxship.runtime.launch import Launched, Meeting
from boxship.runtime.mapping import write_maps
from boxship.runtime.plain import PlainExecutor
from boxship.runtime.plans import DEFAULT_GROUP, Held, Plans, Terms, path_of_group
from boxship.runtime.table import STUBS, TableExecutor
from boxship.runtime.telling import CREATING, EXECUTING, told_as
from boxship.spec.oci import runtime as oci


def default_executor() -> Executor:
    """Return the better of the two executors that this machine can have."""
    return TableExecutor() if MACHINE in STUBS else PlainExecutor()


class NativeRuntime:
    """Starts containers as children of the calling process, which must have one thread."""

    def __init__(
        self,
        performer: Executor | None = None,
        tree: CgroupTree | None = None,
        *,
        filters: str | None = None,
        terms: Terms | None = None,
    ) -> None:
        """Look at the machine; `filters` is a folder in which compiled filters are kept."""
        self._executor = performer or default_executor()
        self.plans = Plans(tree or cgroups.detect(), filters, terms or Terms())
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

    def adopt(self, container: str, cgroup: str) -> None:
        """Know a container that another process has started for this one."""
        group = cgroup or f"{DEFAULT_GROUP}/{container}"
        kept = self._containers.get(container)
        if kept is None or kept.path != group:
            self._containers[container] = self.plans.tree.open(group)

    # -- the first process

    def create(self, request: CreateRequest) -> Init:
        """Set a container up to where only the program's start is missing."""
        with told_as(CREATING):
            launched = self._launch(request, until=talk.READY)
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
        spec, gate = request.spec, self.plans.terms.gate
        with ExitStack() as undo, ExitStack() as held:
            group = self.plans.make_group(request)
            self._containers[request.id] = group
            undo.callback(self.delete, request.id)
            held.callback(scopes.let_go, group)
            wire, theirs = holding.wire(undo, held)
            join, into = ways_in(group, held)
            joined = holding.joined(spec, request.join, request.netns, held)
            have = Held(
                wire=theirs.fileno(),
                root=holding.copy(request.root, held),
                stdio=holding.streams(request.stdio, held),
                sources=sources.gather(
                    spec.mounts, request.root, request.bundle, held, request.trees
                ),
                join=joined,
                proc=procfs.shared(joined.get("pid"), held),
                join_cgroup=[holding.high(descriptor, held) for descriptor in join],
                into_cgroup=into,
                gate=None if gate is None else holding.high(gate, held),
            )
            plan = self.plans.first(request, group.path, have, waits=bool(until))
            plan.flags |= self._flags
            score = spec.process.oom_score_adj if spec.process else None
            launched = executor.start(self._executor, plan, wire, score)
            undo.callback(launched.abandon)
            theirs.close()
            launched.follow(self._meetings(request), until)
            undo.pop_all()
            return launched

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
            talk.MAPPED: lambda launched: write_maps(launched.pid, linux),
            talk.HOSTED: lambda launched: hooks.run_outside(
                spec.hooks, state(launched), launched.pidfd, kinds
            ),
            talk.TERMINAL: lambda launched: launched.take_master(),
            talk.PROGRAM: lambda launched: self.run_hooks_inside(
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
            join, into = ways_in(self._group(request), held)
            have = Held(
                wire=theirs.fileno(),
                init=holding.copy(request.init.pidfd, held),
                stdio=holding.streams(request.stdio, held),
                join_cgroup=[holding.high(descriptor, held) for descriptor in join],
                into_cgroup=into,
                terminal=slave,
            )
            plan = self.plans.further(request, have)
            plan.flags |= flags
            launched = executor.start(self._executor, plan, wire, process.oom_score_adj)
            undo.callback(launched.abandon)
            theirs.close()
            launched.follow({})
            launched.close()
            undo.pop_all()
            return Init(launched.pid, launched.pidfd, master)

    def _group(self, request: ExecRequest) -> Cgroup:
        kept = self._containers.get(request.id)
        return kept or self.plans.tree.open(path_of_group(request.id, request.spec))

    def group(self, container: str) -> Cgroup:
        """Return the control group of a container."""
        return self._kept(container)

    # -- the end

    def kill_all(self, container: str) -> None:
        """Kill every process of a container."""
        self._kept(container).kill()

    def delete(self, container: str, within: float = EMPTY_WITHIN) -> None:
        """Remove what the runtime keeps for a container that has ended: its cgroup."""
        self._kept(container).remove(within)
        del self._containers[container]

    def _kept(self, container: str) -> Cgroup:
        try:
            return self._containers[container]
        except KeyError:
            raise NoSuchContainer(container) from None


def ways_in(group: Cgroup, held: ExitStack) -> tuple[list[int], int | None]:
    """Return the files by which a new process joins v1's groups, and v2's to be born into."""
    way = group.entrance()
    for descriptor in (*way.files, *(() if way.into is None else (way.into,))):
        held.callback(os.close, descriptor)
    return way.files, way.into
