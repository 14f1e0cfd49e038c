"""Remove networks."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.client.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="rm NETWORK [NETWORK...]",
    summary="Remove one or more networks",
    names=(
        "network rm",
        "network remove",
    ),
    flags=(Flag("force", "f", "Do not fail where there is none"),),
    at_least=1,
    words="network",
)


def run(shell: Shell, words: list[str], *, force: bool) -> int:
    """Remove each; one that cannot go does not stop the rest."""

    def remove(name: str) -> None:
        try:
            shell.client.networks.remove(name)
        except EngineError as error:
            if not force or error.status != 404:
                raise

    return shell.for_each(words, remove)
