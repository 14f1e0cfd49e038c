"""Have the engine look for what is left over or damaged, and mend it."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="check [OPTIONS]",
    summary="Look for what is left over and belongs to nothing the engine knows",
    names=("system check",),
    flags=(
        Flag("verify", "", "Also read all content and layers, and compare them with their digests"),
        Flag("repair", "", "Mend what is damaged: unpack again, or fetch from the registry"),
    ),
    at_most=0,
)


def run(shell: Shell, words: list[str], *, verify: bool, repair: bool) -> int:
    """Print a line for each thing left over or damaged; the exit code is 1 when there is one."""
    wrong: list[str] = []
    if repair:
        mended = shell.client.system.repair()
        for sentence in mended.get("Mended") or []:
            shell.out.line(visible(str(sentence)))
        wrong += mended.get("Left") or []
    found = shell.client.system.check(verify=verify and not repair)
    wrong += (found.get("Leftovers") or []) + (found.get("Damaged") or [])
    for sentence in wrong:
        shell.out.line(visible(str(sentence)))
    if not wrong:
        shell.out.line("clean")
    return 1 if wrong else 0
