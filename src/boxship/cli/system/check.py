"""Have the engine look for what is left over."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="check",
    summary="Look for what is left over and belongs to nothing the engine knows",
    names=("system check",),
    at_most=0,
)


def run(shell: Shell, words: list[str]) -> int:
    """Print a line for each thing left over; the exit code is 1 when there is one."""
    leftovers = shell.client.system.check().get("Leftovers") or []
    for sentence in leftovers:
        shell.out.line(visible(str(sentence)))
    if not leftovers:
        shell.out.line("clean")
    return 1 if leftovers else 0
