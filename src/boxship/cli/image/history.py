"""Show how an image came to be."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.formatter import put, render
from boxship.cli.image.naming import platform_json
from boxship.cli.image.steps import EXACT, STEPS
from boxship.cli.options import FORMAT_USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="history [OPTIONS] IMAGE",
    summary="Show the history of an image",
    names=(
        "image history",
        "history",
    ),
    flags=(
        Flag("format", "", FORMAT_USAGE, "string", ""),
        Flag("human", "H", "Show sizes and dates as people read them", "bool", True),
        Flag("no-trunc", "", "Do not shorten what is long"),
        Flag("platform", "", "Show the image of one platform (os[/arch[/variant]])", "string", ""),
        Flag("quiet", "q", "Show only IDs"),
    ),
    at_least=1,
    at_most=1,
    words="image",
)


def run(
    shell: Shell,
    words: list[str],
    *,
    format: str,
    human: bool,
    no_trunc: bool,
    platform: str,
    quiet: bool,
) -> int:
    """Print a line for each step, the newest first."""
    steps = shell.client.images.history(
        words[0], platform=platform_json(platform, "invalid platform: ")
    )
    rows = [(step, human, no_trunc) for step in steps]
    if quiet:
        format = "{{.ID}}"
    put(shell, render(STEPS, rows, format, default="" if human else EXACT))
    return 0
