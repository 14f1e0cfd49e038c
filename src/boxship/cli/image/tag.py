"""Give an image a further name."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.cli.image.naming import split_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    summary="Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    names=(
        "image tag",
        "tag",
    ),
    at_least=2,
    at_most=2,
    words="image",
)


def run(shell: Shell, words: list[str]) -> int:
    """Tag the image."""
    source, target = words
    shell.client.images.tag(source, *split_tag(target))
    return 0
