"""Show all that is known of volumes."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.inspection import inspect_each
from boxship.cli.options import INSPECT_FORMAT_USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="inspect [OPTIONS] VOLUME [VOLUME...]",
    summary="Display detailed information on one or more volumes",
    names=("volume inspect",),
    flags=(Flag("format", "f", INSPECT_FORMAT_USAGE, "string", ""),),
    at_least=1,
    words="volume",
)


def run(shell: Shell, words: list[str], *, format: str) -> int:
    """Print a JSON list, or each by a template."""
    return inspect_each(shell, words, format, shell.client.volumes.inspect_text)
