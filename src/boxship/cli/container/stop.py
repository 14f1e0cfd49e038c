"""Stop running containers."""

from __future__ import annotations

from boxship.cli.command import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="stop [OPTIONS] CONTAINER [CONTAINER...]",
    summary="Stop one or more running containers",
    names=(
        "container stop",
        "stop",
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
    """Stop each; one that cannot be stopped does not stop the rest."""
    stop = shell.client.containers.stop
    return shell.for_each(words, lambda name: stop(name, seconds=timeout, signal=signal))
