"""Rename a container."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.client.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="rename CONTAINER NEW_NAME",
    summary="Rename a container",
    names=(
        "container rename",
        "rename",
    ),
    at_least=2,
    at_most=2,
    words="container",
)


def run(shell: Shell, words: list[str]) -> int:
    """Give the container its new name."""
    old, new = (word.strip() for word in words)
    if not old or not new:
        return shell.report("Error: Neither old nor new names may be empty")
    try:
        shell.client.containers.rename(old, new)
    except EngineError as error:
        shell.say(str(error))
        return shell.report(f"Error: failed to rename container named {old}")
    return 0
