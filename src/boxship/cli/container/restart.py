"""Stop containers and start them again."""

from __future__ import annotations

from boxship.cli.command import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="restart [OPTIONS] CONTAINER [CONTAINER...]",
    summary="Restart one or more containers",
    names=(
        "container restart",
        "restart",
    ),
    flags=(
        Flag("signal", "s", "Signal to send", "string", ""),
        Flag("timeout", "t", "Seconds to wait before it is killed", "int"),
        Flag("time", "", "", "int", hidden=True, target="timeout"),
    ),
    at_least=1,
    words="container",
)


def run(shell: Shell, words: list[str], *, signal: str, timeout: int | None) -> int:
    """Restart each; one that cannot does not stop the rest."""
    restart = shell.client.containers.restart
    return shell.for_each(words, lambda name: restart(name, seconds=timeout, signal=signal))
