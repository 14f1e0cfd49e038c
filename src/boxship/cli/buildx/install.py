"""Make buildx the builder of `build`; it is already."""

from __future__ import annotations

from boxship.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="install",
    summary="Install buildx as a 'docker builder' alias",
    names=("buildx install",),
    at_most=0,
    hidden=True,
)


def run(shell: Shell, words: list[str]) -> int:
    """Change nothing: `boxship build` and `boxship buildx build` are one command."""
    return 0
