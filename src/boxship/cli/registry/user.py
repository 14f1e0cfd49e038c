"""Set the password of a registry's user."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.registry.program import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="user [OPTIONS] NAME",
    summary="Set the password of a registry's user, in a file as of htpasswd",
    names=("registry user",),
    flags=(
        Flag("file", "", "The users' file; without it the line is printed", "string", ""),
        Flag("password-stdin", "", "Read the password from standard input"),
        Flag("remove", "", "Remove the user"),
    ),
    at_least=1,
    at_most=1,
)


def run(shell: Shell, words: list[str], **flags: object) -> int:
    """Ask for the password and write the line."""
    become(shell, "user", words, **flags)
