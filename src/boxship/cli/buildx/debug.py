"""An interactive debugger of builds: refused."""

from __future__ import annotations

from boxship.cli.command import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="debug",
    summary="Refused: docker buildx debug works with this engine",
    names=("buildx debug", "builder debug"),
    flags=(
        Flag("builder", "", "Refused", "string", "", hidden=True),
        Flag("debug", "D", "Refused", hidden=True),
        Flag("invoke", "", "Refused", "string", "", hidden=True),
        Flag("on", "", "Refused", "string", "", hidden=True),
    ),
    hidden=True,
    stops=True,
)


def run(shell: Shell, words: list[str], **given: object) -> int:
    """Refuse, with the reason."""
    return shell.report(
        "ERROR: buildx debug is not supported: a shell in a failed step is shown by "
        "docker buildx debug --on=error, which works with this engine"
    )
