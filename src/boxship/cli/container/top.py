"""Show a container's processes."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.lib.table import columns
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="top CONTAINER [ps OPTIONS]",
    summary="Display the running processes of a container",
    names=(
        "container top",
        "top",
    ),
    at_least=1,
    stops=True,
    words="container",
)


def run(shell: Shell, words: list[str]) -> int:
    """Print the processes as a table."""
    ref, *arguments = words
    found = shell.client.containers.top(ref, " ".join(arguments))
    rows = [found["Titles"], *(found["Processes"] or [])]
    lines = ("\t".join(map(visible, row)) for row in rows)
    shell.out.line(columns("\n".join(lines), least=20, padding=3))
    return 0
