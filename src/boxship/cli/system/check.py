"""Have the engine look for what is broken or left over."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="check [OPTIONS]",
    summary="Look for what is broken or left over",
    names=("system check",),
    flags=(Flag("repair", "", "Mend what can be mended"),),
    at_most=0,
)


def run(shell: Shell, words: list[str], *, repair: bool) -> int:
    """Print a line for each finding; the exit code is 1 when one remains."""
    report = shell.client.system.check(repair=repair)
    remaining = 0
    for finding in report.get("Findings") or []:
        mended = bool(finding.get("Repaired"))
        remaining += not mended
        state = "repaired" if mended else "found"
        shell.out.line(
            f"{state}: {visible(str(finding.get('Subject', '')))}: "
            f"{visible(str(finding.get('Problem', '')))}"
        )
    if not remaining:
        shell.out.line("clean")
    return 1 if remaining else 0
