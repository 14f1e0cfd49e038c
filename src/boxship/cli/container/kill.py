"""Kill running containers."""

from __future__ import annotations

from boxship.cli.command import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="kill [OPTIONS] CONTAINER [CONTAINER...]",
    summary="Kill one or more running containers",
    names=(
        "container kill",
        "kill",
    ),
    flags=(Flag("signal", "s", "Signal to send", "string", ""),),
    at_least=1,
    words="container",
)


def run(shell: Shell, words: list[str], *, signal: str) -> int:
    """Send each a signal; KILL when none is named."""
    kill = shell.client.containers.kill
    return shell.for_each(words, lambda name: kill(name, signal))
