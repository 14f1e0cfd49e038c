"""Plans laid out for another process, which has nothing to do but to perform them.

Planning touches much memory, which in a new process is slow, and in a keeper is held for as long
as its container runs. So one process that is warm plans for all, and each performs its own: the
program's memory is passed as a file, and descriptors under numbers that were agreed upon.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import msgspec

from boxship.errors import BoxshipError
from boxship.kernel.namespaces import CLONE_PARENT, FLAGS
from boxship.runtime import consoles, hooks, mapping, options, procfs, sources, stage
from boxship.runtime.api import CreateRequest, ExecRequest, Stdio
from boxship.runtime.cgroups import Cgroup, scopes
from boxship.runtime.dividing import SECOND
from boxship.runtime.executor import clone_of
from boxship.runtime.holding import joined
from boxship.runtime.init import Plan
from boxship.runtime.memory import Memory
from boxship.runtime.native import ways_in
from boxship.runtime.plans import DEFAULT_GROUP, Held, Plans, path_of_group
from boxship.runtime.prepared import WIRE, Prepared
from boxship.runtime.procfs import SharedProc
from boxship.runtime.table import ALWAYS
from boxship.runtime.telling import CREATING, EXECUTING, told_as
from boxship.runtime.templates import Template, Templates

Made = tuple[Prepared, list[int]]
_ENCODER = msgspec.msgpack.Encoder()


class Unsuited(BoxshipError):
    """This must be planned by the process that starts it."""


class Ahead:
    """Prepares for processes whose stage is at an address."""

    def __init__(self, plans: Plans, address: int) -> None:
        self._plans = plans
        self._address = address
        self._templates = Templates()
        self._flags = 0  # of every clone

    def start_siblings(self) -> None:
        """Have what is prepared become children of the parent of who performs it."""
        self._flags = CLONE_PARENT

    @contextmanager
    def first(
        self, request: CreateRequest, given: Sequence[str], low: int, said: bytes = b""
    ) -> Iterator[Made]:
        """Make a container's group and prepare its first process.

        Of the request's descriptors only the root and a pid namespace are looked at. Those `given`
        by name have, in the process that will perform this, the numbers from `low` on; the wire
        comes after them. The block is for sending; the group stays, once the block has been
        entered. What was `said` as the spec tells whether the plan of another container can be
        taken.
        """
        spec = request.spec
        if spec.hooks is not None and (
            hooks.any_outside(spec.hooks) or hooks.any_inside(spec.hooks)
        ):
            raise Unsuited("hooks are run by the process that starts the container")
        numbers = Numbers(given, low)
        with ExitStack() as held:
            with told_as(CREATING), ExitStack() as undo:
                group = self._plans.make_group(request)
                undo.callback(group.remove)
                held.callback(scopes.let_go, group)
                join, into = self._ways_in(group, numbers, held)
                found = [
                    source
                    if source.tree < 0
                    else msgspec.structs.replace(source, tree=numbers.send(source.tree))
                    for source in sources.gather(spec.mounts, request.root, request.bundle, held)
                ]
                spaces, proc = self._joined(request, numbers, held)
                have = Held(
                    wire=numbers.of[WIRE],
                    root=numbers.of["root"],
                    stdio=numbers.stdio(),
                    sources=found,
                    join=spaces,
                    join_cgroup=join,
                    into_cgroup=into,
                    proc=proc,
                )
                key = said and (
                    self._templates.marked(said, request.id),
                    tuple((one.tree, one.is_folder, one.covered_by, one.mode) for one in found),
                    (*have.join.items(), have.proc),
                    (low, *given, *join, into, request.console_size, request.init_program),
                )

                def work_out() -> Template:
                    plan = self._plans.first(request, group.path, have, waits=False)
                    template = self._lay_out(plan, CREATING)
                    what = template.what
                    what.score = spec.process.oom_score_adj if spec.process else None
                    if spec.linux is not None:
                        what.users = mapping.lines(spec.linux.uid_mappings)
                        what.groups = mapping.lines(spec.linux.gid_mappings)
                    return template

                template = self._templates.get(key, request.id, work_out)
                what = msgspec.structs.replace(template.what, places=numbers.places)
                what.cgroup = group.path
                memory = template.written(held)
                undo.pop_all()
            yield what, [memory, *numbers.sent]

    @contextmanager
    def further(
        self, request: ExecRequest, given: Sequence[str], low: int, said: bytes = b""
    ) -> Iterator[Made]:
        """Prepare one more process for a container that runs."""
        numbers = Numbers(given, low)
        process = request.process
        with ExitStack() as held:
            with told_as(EXECUTING):
                master, slave = -1, None
                if process.terminal:
                    master, opened = consoles.open_in(request.init.pid, process.user.uid)
                    held.callback(os.close, master)
                    held.callback(os.close, opened)
                    slave = numbers.send(opened)
                group = self._plans.tree.open(path_of_group(request.id, request.spec))
                join, into = self._ways_in(group, numbers, held)
                have = Held(
                    wire=numbers.of[WIRE],
                    init=numbers.of["init"],
                    stdio=numbers.stdio(),
                    join_cgroup=join,
                    into_cgroup=into,
                    terminal=slave,
                )
                key = said and (
                    self._templates.marked(said, request.id),
                    (low, *given, *join, into, slave, request.console_size),
                )

                def work_out() -> Template:
                    template = self._lay_out(self._plans.further(request, have), EXECUTING)
                    template.what.score = process.oom_score_adj
                    template.what.terminal = process.terminal
                    return template

                template = self._templates.get(key, request.id, work_out)
                what = msgspec.structs.replace(template.what, places=numbers.places)
                memory = template.written(held)
            terminal = [master] if process.terminal else []
            yield what, [memory, *numbers.sent, *terminal]

    def rehearse(self, request: CreateRequest) -> None:
        """Plan a container's first process for nobody; nothing is made."""
        numbers = Numbers(("root", "stdout", "stderr"), 100)
        found = [
            sources.Source(mount, mount.destination, options.parse(mount.options))
            for mount in request.spec.mounts
        ]
        have = Held(numbers.of[WIRE], numbers.stdio(), [], None, numbers.of["root"], found)
        plan = self._plans.first(request, DEFAULT_GROUP, have, waits=False)
        self._lay_out(plan, CREATING)

    def _ways_in(
        self, group: Cgroup, numbers: Numbers, held: ExitStack
    ) -> tuple[list[int], int | None]:
        files, into = ways_in(group, held)
        sent = [numbers.send(file) for file in files]
        return sent, None if into is None else numbers.send(into)

    def _joined(
        self, request: CreateRequest, numbers: Numbers, held: ExitStack
    ) -> tuple[Mapping[str, int], SharedProc | None]:
        """Return the namespaces to join: those given, and those that the spec names by path; and
        what shows the processes of the pid namespace among them."""
        given = {
            name.removeprefix("join."): number
            for name, number in numbers.of.items()
            if name.startswith("join.")
        }
        if "netns" in numbers.of:
            given["network"] = numbers.of["netns"]
        opened = joined(request.spec, given, None, held)
        known_as = {
            kind: given[kind] if kind in given else numbers.send(opened[kind])
            for kind in FLAGS
            if kind in opened
        }
        space = request.join["pid"] if "pid" in given else opened.get("pid")
        proc = procfs.shared(space, held, known_as.get("pid"))
        if proc is not None and proc.tree >= 0:
            sent = numbers.send(proc.tree), numbers.send(proc.spaces)
            proc = SharedProc(proc.namespace, *sent)
        return known_as, proc

    def _lay_out(self, plan: Plan, prefix: str) -> Template:
        plan.flags |= self._flags
        flags, signal, group = clone_of(plan)
        memory = Memory(plan.program, (flags | ALWAYS, signal, group), self._address)
        if memory.size > stage.SIZE:
            raise Unsuited("it is too large")
        words = [(call.name, call.about or call.name) for call in plan.program.calls]
        what = Prepared(
            prefix=prefix,
            size=memory.size,
            count=len(plan.program.calls),
            places=[],
            master=plan.master.index if plan.master else None,
            second=memory.place_of(SECOND.name) if plan.has_second else 0,
            divides_last=plan.divides_last,
        )
        return Template(what, memory.image, _ENCODER.encode(words))


class Numbers:
    """The numbers that descriptors are to have in another process."""

    def __init__(self, given: Sequence[str], low: int) -> None:
        self.of = {name: low + index for index, name in enumerate((*given, WIRE))}
        self.sent: list[int] = []
        self.places: list[int] = []
        self._next = low + len(self.of)

    def send(self, fd: int) -> int:
        """Have a descriptor of ours sent; return the number that it will have there."""
        number = self._next
        self._next += 1
        self.sent.append(fd)
        self.places.append(number)
        return number

    def stdio(self) -> Stdio:
        return Stdio(self.of.get("stdin"), self.of.get("stdout"), self.of.get("stderr"))
