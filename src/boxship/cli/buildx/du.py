"""Show what the build cache takes."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="du [OPTIONS]",
    summary="Disk usage",
    names=("buildx du", "builder du"),
    flags=(
        Flag("builder", "", "Override the configured builder instance", "string", ""),
        Flag("debug", "D", "Accepted and without effect", hidden=True),
        Flag("filter", "", "Provide filter values", "filter"),
        Flag("format", "", "Format the output: table, json or a Go template", "string", "table"),
        Flag("timeout", "", "How long a builder may take to answer", "duration", 20 * 10**9),
        Flag("verbose", "", "Provide a more verbose output"),
    ),
    at_most=0,
)


def run(
    shell: Shell, words: list[str], *, builder: str, debug: bool, filter: list[str], format: str,
    timeout: int, verbose: bool,
) -> int:  # fmt: skip
    """Print the records and what they come to."""
    find_libraries()
    from boxship.cli.building.builders import chosen_builder
    from boxship.cli.building.records import conditions, details, listing, summary, table
    from boxship.cli.building.remote import ask
    from boxship.errors import BoxshipError

    try:
        if verbose and format != "table":
            return shell.report("ERROR: --format and --verbose are mutually exclusive")
        asked = conditions(filter)
        chosen = chosen_builder(shell, builder)
        found = ask(shell, lambda builds: builds.usage(asked), chosen, timeout / 1e9)
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")
    if format != "table":
        from boxship.cli.formatter import render

        shell.out.write(render(listing(), found, format))
        return 0
    if verbose:
        for one in found:
            shell.out.line(details(one))
    elif found:
        for line in table(found):
            shell.out.line(line)
    summary(shell, found, everything=not filter)
    return 0
