"""List networks."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.formatter import put, render
from boxship.cli.network.listing import NETWORKS
from boxship.cli.options import FORMAT_USAGE, filters_of
from boxship.lib.words import natural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="ls [OPTIONS]",
    summary="List networks",
    names=(
        "network ls",
        "network list",
    ),
    flags=(
        Flag("filter", "f", "Show only networks that meet a condition", "filter"),
        Flag("format", "", FORMAT_USAGE, "string", ""),
        Flag("no-trunc", "", "Do not shorten what is long"),
        Flag("quiet", "q", "Show only IDs"),
    ),
    at_most=0,
    words="",
)


def run(
    shell: Shell, words: list[str], *, filter: list[str], format: str, no_trunc: bool, quiet: bool
) -> int:
    """Print the networks, sorted by name."""
    found = shell.client.networks.list(filters_of(filter))
    found.sort(key=lambda network: natural(network["Name"]))
    rows = [(network, no_trunc) for network in found]
    format = "{{.ID}}" if quiet else format or shell.config.text("networksFormat")
    put(shell, render(NETWORKS, rows, format))
    return 0
