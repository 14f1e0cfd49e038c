"""List volumes."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.formatter import put, render
from boxship.cli.options import FORMAT_USAGE, filters_of
from boxship.cli.volume.listing import VOLUMES
from boxship.lib.words import natural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="ls [OPTIONS]",
    summary="List volumes",
    names=(
        "volume ls",
        "volume list",
    ),
    flags=(
        Flag("cluster", "", "Show cluster volumes only", hidden=True),
        Flag("filter", "f", "Show only volumes that meet a condition", "filter"),
        Flag("format", "", FORMAT_USAGE, "string", ""),
        Flag("quiet", "q", "Show only names"),
    ),
    at_most=0,
    words="",
)


def run(
    shell: Shell, words: list[str], *, cluster: bool, filter: list[str], format: str, quiet: bool
) -> int:
    """Print the volumes, sorted by name."""
    found = shell.client.volumes.list(filters_of(filter))
    found.sort(key=lambda volume: natural(volume["Name"]))
    format = "{{.Name}}" if quiet else format or shell.config.text("volumesFormat")
    put(shell, render(VOLUMES, found, format))
    return 0
