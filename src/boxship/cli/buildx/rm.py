"""Forget builders."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="rm [OPTIONS] [NAME...]",
    summary="Remove one or more builder instances",
    names=("buildx rm", "buildx remove", "builder rm"),
    flags=(
        Flag("all-inactive", "", "Remove all inactive builders"),
        Flag("builder", "", "Override the configured builder instance", "string", ""),
        Flag("debug", "D", "Accepted and without effect", hidden=True),
        Flag("force", "f", "Do not prompt for confirmation"),
        Flag("keep-daemon", "", "Accepted: what runs elsewhere is never ended", hidden=True),
        Flag("keep-state", "", "Accepted: what runs elsewhere keeps its state", hidden=True),
        Flag("timeout", "", "How long a builder may take to answer", "duration", 20 * 10**9),
    ),
)


def run(
    shell: Shell, words: list[str], *, all_inactive: bool, builder: str, force: bool,
    timeout: int, **more: bool,
) -> int:  # fmt: skip
    """Forget each builder named, the current one for none; one that cannot go stops nothing."""
    find_libraries()
    from boxship.cli.building.builders import DEFAULT, Builders
    from boxship.cli.building.nodes import node_of
    from boxship.errors import BoxshipError

    builders = Builders(shell)
    if all_inactive:
        if words or builder:
            return shell.report("ERROR: cannot specify builder name when --all-inactive is set")
        question = "WARNING! This will remove all builders that are not in running state. "
        if not force and not shell.confirm(f"{question}Are you sure you want to continue?"):
            return 0
        others = [one for one in builders.every() if one.name != DEFAULT]
        names = [one.name for one in others if node_of(shell, one, timeout / 1e9).problem]
    else:
        names = words or [builder or builders.current()]
    failed = False
    for name in names:
        try:
            builders.remove(name)
        except BoxshipError as error:
            shell.say(f"failed to remove {name}: {error}")
            failed = True
        else:
            shell.say(f"{name} removed")
    return shell.report("ERROR: failed to remove one or more builders") if failed else 0
