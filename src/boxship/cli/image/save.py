"""Write images to a tar archive."""

from __future__ import annotations

from boxship.cli.archives import save
from boxship.cli.command import Command, Flag
from boxship.cli.image.naming import platforms_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="save [OPTIONS] IMAGE [IMAGE...]",
    summary="Save one or more images to a tar archive (streamed to STDOUT by default)",
    names=(
        "image save",
        "save",
    ),
    flags=(
        Flag("output", "o", "Write to a file, instead of STDOUT", "string", ""),
        Flag("platform", "", "Save only these platforms (os[/arch[/variant]])", "list"),
    ),
    at_least=1,
    words="image",
)


def run(shell: Shell, words: list[str], *, output: str, platform: list[str]) -> int:
    """Write the archive to a file or to standard output."""
    if not output and shell.out.is_terminal():
        return shell.report("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    images, wanted = shell.client.images, platforms_json(platform, "invalid platform: ")
    return save(lambda: images.save(words, platforms=wanted), output, "save image")
