"""Log out from a registry."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.cli.credentials import forget, key_of
from boxship.errors import BoxshipError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="logout [SERVER]",
    summary="Log out from a registry",
    details="Log out from a registry.\nDefaults to Docker Hub if no server is specified.",
    names=("logout",),
    at_most=1,
)


def run(shell: Shell, words: list[str]) -> int:
    """Forget the credentials for a registry, wherever they are kept."""
    key = key_of(words[0] if words else "")
    shell.out.line(f"Removing login credentials for {key}")
    shell.out.flush()
    try:
        forget(shell, key)
    except BoxshipError as error:
        shell.say(f"WARNING: could not erase credentials:\n{key}: {error}")
    return 0
