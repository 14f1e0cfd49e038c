"""Write a container's files as a tar archive."""

from __future__ import annotations

from boxship.cli.archives import save
from boxship.cli.command import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="export [OPTIONS] CONTAINER",
    summary="Export a container's filesystem as a tar archive",
    names=(
        "container export",
        "export",
    ),
    flags=(Flag("output", "o", "Write to a file, instead of STDOUT", "string", ""),),
    at_least=1,
    at_most=1,
    words="container",
)


def run(shell: Shell, words: list[str], *, output: str) -> int:
    """Write the archive to a file or to standard output."""
    if not output and shell.out.is_terminal():
        return shell.report("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    return save(lambda: shell.client.containers.export(words[0]), output, "export container")
