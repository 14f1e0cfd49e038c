"""Make the classic builder that of `build`; refused."""

from __future__ import annotations

from boxship.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="uninstall",
    summary="Uninstall the 'docker builder' alias",
    names=("buildx uninstall",),
    at_most=0,
    hidden=True,
)


def run(shell: Shell, words: list[str]) -> int:
    """Refuse: there is no other builder."""
    return shell.report("ERROR: boxship build and boxship buildx build are one command")
