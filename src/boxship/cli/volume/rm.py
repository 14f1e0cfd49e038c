"""Remove volumes."""

from __future__ import annotations

from boxship.cli.command import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="rm [OPTIONS] VOLUME [VOLUME...]",
    summary="Remove one or more volumes",
    names=(
        "volume rm",
        "volume remove",
    ),
    flags=(Flag("force", "f", "Do not fail where there is none"),),
    at_least=1,
    words="volume",
)


def run(shell: Shell, words: list[str], *, force: bool) -> int:
    """Remove each; one that cannot go does not stop the rest."""
    return shell.for_each(words, lambda name: shell.client.volumes.remove(name, force=force))
