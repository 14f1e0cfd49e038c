"""Show what has changed in a container's files."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

KINDS = "CAD"  # by the number that the engine gives

COMMAND = Command(
    usage="diff CONTAINER",
    summary="Inspect changes to files or directories on a container's filesystem",
    names=(
        "container diff",
        "diff",
    ),
    at_least=1,
    at_most=1,
    words="container",
)


def run(shell: Shell, words: list[str]) -> int:
    """Print a letter and a path for each change."""
    for change in shell.client.containers.changes(words[0]):
        shell.out.line(f"{KINDS[change['Kind']]} {visible(change['Path'])}")
    return 0
