"""Show the version."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.spec.product import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="buildx version",
    summary="Show the version",
    names=("buildx version",),
    at_most=0,
)


def run(shell: Shell, words: list[str]) -> int:
    """Print it."""
    shell.out.line(f"boxship buildx {VERSION}")
    return 0
