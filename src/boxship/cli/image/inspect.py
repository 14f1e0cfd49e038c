"""Show all that is known of images."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.image.naming import platform_json
from boxship.cli.inspection import inspect_each
from boxship.cli.options import INSPECT_FORMAT_USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="inspect [OPTIONS] IMAGE [IMAGE...]",
    summary="Display detailed information on one or more images",
    names=("image inspect",),
    flags=(
        Flag("format", "f", INSPECT_FORMAT_USAGE, "string", ""),
        Flag("platform", "", "Show the image of one platform (os[/arch[/variant]])", "string", ""),
    ),
    at_least=1,
    words="image",
)


def run(shell: Shell, words: list[str], *, format: str, platform: str) -> int:
    """Print a JSON list, or each by a template."""
    images = shell.client.images
    platform = platform_json(platform)
    return inspect_each(
        shell, words, format, lambda ref: images.inspect_text(ref, platform=platform)
    )
