"""A debugger for editors: refused."""

from __future__ import annotations

from boxship.cli.command import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="dap",
    summary="Refused: there is no debug adapter",
    names=("buildx dap", "builder dap"),
    flags=(
        Flag("builder", "", "Refused", "string", "", hidden=True),
        Flag("debug", "D", "Refused", hidden=True),
    ),
    hidden=True,
    stops=True,
)


def run(shell: Shell, words: list[str], **given: object) -> int:
    """Refuse, with the reason."""
    return shell.report("ERROR: buildx dap is not supported: there is no debug adapter for editors")
