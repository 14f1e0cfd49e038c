"""Show what the build cache takes."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="buildx du [OPTIONS]",
    summary="Disk usage of the build cache",
    names=("buildx du",),
    flags=(
        Flag("builder", "", "Only the engine's own builder, default", "string", "", hidden=True),
        Flag("filter", "", "Show only records that meet a condition", "filter"),
        Flag("verbose", "", "Show all that is known of each"),
    ),
    at_most=0,
)


def run(shell: Shell, words: list[str], *, builder: str, filter: list[str], verbose: bool) -> int:
    """Print the records and what they come to."""
    find_libraries()
    from boxship.cli.building.records import TITLES, details, row, summary
    from boxship.cli.building.remote import ask

    filters = [text.replace("=", "==", 1) for text in filter]
    found = ask(shell, lambda builds: builds.usage(filters))
    if verbose:
        for one in found:
            shell.out.line(details(one))
    else:
        shell.out.line(TITLES)
        for one in found:
            shell.out.line(row(one))
    summary(shell, found)
    return 0
