"""Load images from a tar archive."""

from __future__ import annotations

from boxship.cli.archives import chunks_of
from boxship.cli.command import Command, Flag
from boxship.cli.image.naming import platforms_json
from boxship.cli.progress import show_progress
from boxship.client.http import messages
from boxship.lib.words import visible_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="load [OPTIONS]",
    summary="Load an image from a tar archive or STDIN",
    names=(
        "image load",
        "load",
    ),
    flags=(
        Flag("input", "i", "Read from a tar archive, instead of STDIN", "string", ""),
        Flag("platform", "", "Load only these platforms (os[/arch[/variant]])", "list"),
        Flag("quiet", "q", "Do not show progress"),
    ),
    at_most=0,
    words="",
)


def run(shell: Shell, words: list[str], *, input: str, platform: list[str], quiet: bool) -> int:
    """Send the archive and show what the engine says."""
    if not input and shell.input_is_terminal():
        return shell.report("requested load from stdin, but stdin is empty")
    response = shell.client.images.load(
        chunks_of(input),
        quiet=quiet or not shell.out.is_terminal(),
        platforms=platforms_json(platform, "invalid platform: "),
    )
    if "json" in response.headers.get("content-type", ""):
        show_progress(shell.out, messages(response))
    else:
        shell.out.write(visible_block(response.text()))
    return 0
