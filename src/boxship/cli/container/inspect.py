"""Show all that is known of containers."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.inspection import inspect_each
from boxship.cli.options import INSPECT_FORMAT_USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="inspect [OPTIONS] CONTAINER [CONTAINER...]",
    summary="Display detailed information on one or more containers",
    names=("container inspect",),
    flags=(
        Flag("format", "f", INSPECT_FORMAT_USAGE, "string", ""),
        Flag("size", "s", "Show sizes as well"),
    ),
    at_least=1,
    words="container",
)


def run(shell: Shell, words: list[str], *, format: str, size: bool) -> int:
    """Print a JSON list, or each by a template."""
    containers = shell.client.containers
    return inspect_each(shell, words, format, lambda ref: containers.inspect_text(ref, size=size))
