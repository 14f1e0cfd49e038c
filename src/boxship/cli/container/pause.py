"""Pause all processes within containers."""

from __future__ import annotations

from boxship.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="pause CONTAINER [CONTAINER...]",
    summary="Pause all processes within one or more containers",
    names=(
        "container pause",
        "pause",
    ),
    at_least=1,
    words="container",
)


def run(shell: Shell, words: list[str]) -> int:
    """Pause each; one that cannot does not stop the rest."""
    return shell.for_each(words, shell.client.containers.pause)
