"""Remove images."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.image.naming import platforms_json
from boxship.client.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="rm [OPTIONS] IMAGE [IMAGE...]",
    summary="Remove one or more images",
    names=(
        "image rm",
        "image remove",
        "rmi",
    ),
    flags=(
        Flag("force", "f", "Remove it although containers or names use it"),
        Flag("no-prune", "", "Do not delete untagged parents"),
        Flag("platform", "", "Remove only one platform (os[/arch[/variant]])", "list"),
    ),
    at_least=1,
    words="image",
)


def run(shell: Shell, words: list[str], *, force: bool, no_prune: bool, platform: list[str]) -> int:
    """Remove each, and print what that untagged and deleted."""
    missing = 0
    problems: list[str] = []
    for name in words:
        try:
            removed = shell.client.images.remove(
                name, force=force, prune=not no_prune, platforms=platforms_json(platform)
            )
        except EngineError as error:
            missing += error.status == 404
            problems.append(str(error))
            continue
        for step in removed:
            if "Deleted" in step:
                shell.out.line(f"Deleted: {step['Deleted']}")
            else:
                shell.out.line(f"Untagged: {step['Untagged']}")
    if not problems:
        return 0
    message = "\n".join(problems)
    if force and missing == len(problems):
        shell.say(message)
        return 0
    return shell.report(message)
