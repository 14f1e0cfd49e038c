"""Remove what nothing in a registry needs."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.registry.program import CONFIG_USAGE, DRY_RUN, ROOT, become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage=f"gc {CONFIG_USAGE}",
    summary="Remove what nothing in a registry needs, also while it serves",
    names=("registry gc",),
    flags=(
        Flag("delete-untagged", "m", "Remove manifests that no tag leads to"),
        DRY_RUN,
        Flag("grace", "", "Leave what was used since", "string", "", shown="1h"),
        ROOT,
    ),
    at_most=1,
)


def run(shell: Shell, words: list[str], **flags: object) -> int:
    """Have the folder's server do it, or do it here when none serves."""
    become(shell, "gc", words, **flags)
