"""Stop a builder; there is none that boxship could stop."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="stop [NAME]",
    summary="Stop builder instance",
    names=("buildx stop", "builder stop"),
    flags=(
        Flag("builder", "", "Override the configured builder instance", "string", ""),
        Flag("debug", "D", "Accepted and without effect", hidden=True),
    ),
    at_most=1,
)


def run(shell: Shell, words: list[str], *, builder: str, debug: bool) -> int:
    """Say nothing of the engine's own and of what runs elsewhere: both go on, as with buildx."""
    find_libraries()
    from boxship.cli.building.builders import chosen_builder
    from boxship.errors import BoxshipError

    try:
        chosen_builder(shell, words[0] if words else builder)
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")
    return 0
