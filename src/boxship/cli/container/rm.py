"""Remove containers."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.client.errors import EngineError
from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="rm [OPTIONS] CONTAINER [CONTAINER...]",
    summary="Remove one or more containers",
    names=(
        "container rm",
        "container remove",
        "rm",
    ),
    flags=(
        Flag("force", "f", "Remove a running container too, killing it"),
        Flag("link", "l", "Remove the link and not the container"),
        Flag("volumes", "v", "Remove its anonymous volumes as well"),
    ),
    at_least=1,
    words="container",
)


def run(shell: Shell, words: list[str], *, force: bool, link: bool, volumes: bool) -> int:
    """Remove each; one that cannot go does not stop the rest."""

    def remove(name: str) -> bool:
        if not name.strip("/"):
            raise InvalidRequest("container name cannot be empty")
        try:
            shell.client.containers.remove(name.strip("/"), force=force, volumes=volumes, link=link)
        except EngineError as error:
            if not force or error.status != 404:
                raise
            shell.say(str(error))
            return False
        return True

    return shell.for_each(words, remove)
