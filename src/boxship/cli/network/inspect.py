"""Show all that is known of networks."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.inspection import inspect_each
from boxship.cli.options import INSPECT_FORMAT_USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="inspect [OPTIONS] NETWORK [NETWORK...]",
    summary="Display detailed information on one or more networks",
    names=("network inspect",),
    flags=(
        Flag("format", "f", INSPECT_FORMAT_USAGE, "string", ""),
        Flag("verbose", "v", "Show what helps to find faults"),
    ),
    at_least=1,
    words="network",
)


def run(shell: Shell, words: list[str], *, format: str, verbose: bool) -> int:
    """Print a JSON list, or each by a template."""
    networks = shell.client.networks
    return inspect_each(
        shell, words, format, lambda ref: networks.inspect_text(ref, verbose=verbose)
    )
