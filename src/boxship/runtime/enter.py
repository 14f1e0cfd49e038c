"""The plan for one more process in a running container.

Two processes take part. The first is ours: it is in none of the container's namespaces that would
let the container see it, until it has given up all that the container may not have. It then makes
the second, which is born into the container's pid namespace with nothing left to take: its
descriptors are the program's, its rights are the program's, its memory is a copy.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from boxship.kernel import namespaces
from boxship.runtime import descriptors, dividing, entry, identity, init, talk
from boxship.runtime.api import Stdio
from boxship.runtime.init import Plan
from boxship.runtime.program import ANY, Program
from boxship.spec.oci import runtime as oci


class Facts(Struct, frozen=True):
    """What the plan depends on besides the specs."""

    wire: int
    pidfd: int  # of a process in the container
    stdio: Stdio
    join_cgroup: Sequence[int]
    into_cgroup: int | None
    keyring: str
    terminal: int | None = None
    filter: bytes | None = None
    filter_flags: int = 0
    console_size: tuple[int, int] | None = None
    kept: int = 0
    new_keyring: bool = True
    dies_with_us: bool = True


def plan(spec: oci.Spec, process: oci.Process, facts: Facts) -> Plan:
    """Say, in order, how the program comes to run in the container."""
    identity.check_user(process.user)
    program = Program()
    told = program.place()
    program.on_failure = told
    descriptors.place_streams(program, facts.stdio)
    kept = [facts.wire, facts.pidfd, *facts.join_cgroup]
    kept += range(descriptors.FIRST, descriptors.FIRST + facts.kept)
    if facts.terminal is not None:
        kept.append(facts.terminal)
        for number in range(3):
            program.add("dup3", facts.terminal, number, 0, about="dup3")
    descriptors.close_others(program, kept)
    _join(program, spec, facts)
    low = descriptors.FIRST + facts.kept
    descriptors.close_others(program, [*range(descriptors.FIRST, low), facts.wire])
    if facts.new_keyring:
        identity.join_keyring(program, facts.keyring)
    identity.personality(program, spec.linux.personality if spec.linux else None)
    identity.set_limits(program, process.rlimits)
    identity.own_streams(program, process.user)
    program.add("umask", 0o022 if process.user.umask is None else process.user.umask)
    _drop_and_divide(program, process, facts)
    descriptors.close_on_exec(program, low)
    entry.become(program, process.args, process.env)

    program.put(told)
    program.add("write", facts.wire, talk.FAILED, 1, tolerated=ANY)
    program.add("exit_group", 127)
    return Plan(program, 0, facts.into_cgroup, has_second=True, divides_last=True)


def _join(program: Program, spec: oci.Spec, facts: Facts) -> None:
    """Come into the container's group, then its namespaces."""
    for file in facts.join_cgroup:
        program.add("write", file, b"0", 1, about="error adding pid to cgroups")
    kinds = {space.type for space in spec.linux.namespaces} if spec.linux else set[str]()
    flags = sum(namespaces.FLAGS[kind] for kind in kinds)
    if flags:
        program.add("setns", facts.pidfd, flags, about="error joining namespaces")
    if "user" in kinds:
        program.add("setresgid", 0, 0, 0, about="setgid in the user namespace")
        program.add("setresuid", 0, 0, 0, about="setuid in the user namespace")


def _drop_and_divide(program: Program, process: oci.Process, facts: Facts) -> None:
    """Give up rights and make the second process."""

    def divide() -> None:
        dividing.go_on_in_child(program)
        program.add("setsid", about="setsid")
        if process.terminal:
            init.control(program, 0, facts.console_size, process)

    rights = dividing.Rights(facts.filter, facts.filter_flags, facts.dies_with_us)
    rights.give_up(program, process, divide)
    rights.load_late_filter(program, process)
