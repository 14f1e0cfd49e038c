"""Going on in a second process, inside, which has nothing left that could be taken from it.

Who is in a pid namespace may be able to trace whatever comes into it. So a process that joins one
stays outside while it has rights, and the one that it makes then, inside, shares nothing with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from boxship.kernel import namespaces
from boxship.runtime import entry, identity, talk
from boxship.runtime.program import Program, Scratch
from boxship.runtime.verdict import allows
from boxship.spec.oci import runtime as oci

SECOND: Final = Scratch(talk.SECOND, 8)
CLONE_PARENT_SETTID: Final = 0x00100000
ADOPTED: Final = namespaces.CLONE_PARENT | CLONE_PARENT_SETTID


def go_on_in_child(program: Program) -> None:
    """Leave the rest to a child, which is our parent's own; nothing is shared with it."""
    go_on, gone = program.place(), program.place()
    program.add(
        "clone", ADOPTED, 0, SECOND, 0, 0,
        about="error creating a process", on_success=gone, if_nonzero=True,
    )  # fmt: skip
    program.jump(go_on)
    program.put(gone)
    program.add("exit_group", 0)
    program.put(go_on)


class Rights(Struct, frozen=True):
    """What a program is put under, besides what its own specification says."""

    filter: bytes | None
    filter_flags: int
    dies_with_us: bool

    def give_up(
        self, program: Program, process: oci.Process, divide: Callable[[], None] | None
    ) -> None:
        """Have the program's rights only, and look for the program.

        `divide` makes the second process. It comes last, unless the filter has to be loaded with
        rights (no_new_privs is not asked for) and would then not let us make it.
        """
        filtered = None if process.no_new_privileges else self.filter
        early = filtered is not None and not allows(filtered, "clone", ADOPTED)
        if divide and early:
            divide()
        identity.forbid_new_privileges(program, process)
        identity.load_filter(program, filtered, self.filter_flags)
        identity.become_user(program, process)
        entry.find(program, process.args, process.env)
        if divide and not early:
            divide()
        if self.dies_with_us:
            identity.die_with_parent(program)

    def load_late_filter(self, program: Program, process: oci.Process) -> None:
        """Put the process under its filter if it needed no rights for that."""
        if process.no_new_privileges:
            identity.load_filter(program, self.filter, self.filter_flags)
