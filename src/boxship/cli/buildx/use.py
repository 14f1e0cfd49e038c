"""Choose the builder that builds unless another is named."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="use [OPTIONS] NAME",
    summary="Set the current builder instance",
    names=("buildx use", "builder use"),
    flags=(
        Flag("builder", "", "Override the configured builder instance", "string", "", hidden=True),
        Flag("debug", "D", "Accepted and without effect", hidden=True),
        Flag("default", "", "Accepted: a builder is chosen for the current engine anyway"),
        Flag("global", "", "Builder persists context changes"),
    ),
    at_most=1,
)


def run(shell: Shell, words: list[str], *, builder: str, default: bool, **more: bool) -> int:
    """Remember it."""
    find_libraries()
    from boxship.cli.building.builders import DEFAULT, Builders
    from boxship.errors import BoxshipError

    try:
        Builders(shell).use(words[0] if words else builder or DEFAULT, everywhere=more["global"])
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")
    return 0
