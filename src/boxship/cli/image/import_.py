"""Make an image of a tar archive of files."""

from __future__ import annotations

from boxship.cli.archives import chunks_of, is_url
from boxship.cli.command import Command, Flag
from boxship.cli.image.naming import split_tag
from boxship.cli.progress import show_progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="import [OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    summary="Import the contents from a tarball to create a filesystem image",
    names=(
        "image import",
        "import",
    ),
    flags=(
        Flag("change", "c", "Apply a Dockerfile instruction to the image", "list"),
        Flag("message", "m", "Message of the image", "string", ""),
        Flag("platform", "", "Platform of the image", "string", ""),
    ),
    at_least=1,
    at_most=2,
    words="",
)


def run(shell: Shell, words: list[str], *, change: list[str], message: str, platform: str) -> int:
    """Print the new image's ID."""
    source, *names = words
    archive: Iterable[bytes] | None = None
    query: dict[str, object] = {
        "changes": change,
        "message": message,
        "platform": platform.lower(),
        "fromSrc": source,
    }
    if names:
        query["repo"], query["tag"] = split_tag(names[0])
    if source == "-" or not is_url(source):
        query["fromSrc"] = "-"
        archive = chunks_of("" if source == "-" else source)
    show_progress(shell.out, shell.client.images.import_(query, archive))
    return 0
