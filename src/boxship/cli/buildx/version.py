"""Show the version."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.spec.product import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="version",
    summary="Show buildx version information",
    names=("buildx version", "builder version"),
    flags=(Flag("debug", "D", "Accepted and without effect", hidden=True),),
    at_most=0,
)


def run(shell: Shell, words: list[str], *, debug: bool) -> int:
    """Print it."""
    shell.out.line(f"boxship buildx {VERSION}")
    return 0
