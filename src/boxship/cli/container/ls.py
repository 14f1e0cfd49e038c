"""List containers."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.container.listing import CONTAINERS, DEFAULT_SIZED, wants_size
from boxship.cli.formatter import put, render
from boxship.cli.options import FORMAT_USAGE, filters_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="ls [OPTIONS]",
    summary="List containers",
    names=("container ls", "container list", "container ps", "ps"),
    flags=(
        Flag("all", "a", "Show all containers, not only running ones"),
        Flag("filter", "f", "Show only containers that meet a condition", "filter"),
        Flag("format", "", FORMAT_USAGE, "string", ""),
        Flag("last", "n", "Show the n containers created last, in any state", "int", -1),
        Flag("latest", "l", "Show the container created last, in any state"),
        Flag("no-trunc", "", "Do not shorten what is long"),
        Flag("quiet", "q", "Show only IDs"),
        Flag("size", "s", "Show how much disk each uses"),
    ),
    at_most=0,
)


def run(
    shell: Shell,
    words: list[str],
    *,
    all: bool,
    filter: list[str],
    format: str,
    last: int,
    latest: bool,
    no_trunc: bool,
    quiet: bool,
    size: bool,
) -> int:
    """Ask for the list and lay it out."""
    format = format or ("" if quiet else shell.config.text("psFormat"))
    limit = 1 if latest and last <= 0 else last
    found = shell.client.containers.list(
        everything=all,
        limit=limit,
        size=size or (not quiet and wants_size(format)),
        filters=filters_of(filter),
    )
    rows = [(summary, no_trunc) for summary in found]
    if quiet:
        format = "{{.ID}}"
    put(shell, render(CONTAINERS, rows, format, default=DEFAULT_SIZED if size else ""))
    return 0
