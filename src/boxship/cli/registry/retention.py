"""Remove tags by a registry's rules."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.cli.registry.program import CONFIG_USAGE, DRY_RUN, ROOT, become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage=f"retention {CONFIG_USAGE}",
    summary="Remove tags by the rules of a registry's configuration",
    names=("registry retention",),
    flags=(DRY_RUN, ROOT),
    at_most=1,
)


def run(shell: Shell, words: list[str], **flags: object) -> int:
    """Have the folder's server do it, or do it here when none serves."""
    become(shell, "retention", words, **flags)
