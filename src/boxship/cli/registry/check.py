"""Look whether a registry's storage is whole."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.registry.program import CONFIG_USAGE, ROOT, become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage=f"check {CONFIG_USAGE}",
    summary="Look whether all that a registry keeps is whole",
    names=("registry check",),
    flags=(Flag("repair", "", "Remove what is broken, so that it can be pushed again"), ROOT),
    at_most=1,
)


def run(shell: Shell, words: list[str], **flags: object) -> int:
    """Print a line for each problem; the exit code is 1 when there is one."""
    become(shell, "check", words, **flags)
