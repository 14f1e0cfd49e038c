"""Make an image of a container."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.image.naming import canonical, split_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    summary="Create a new image from a container's changes",
    names=(
        "container commit",
        "commit",
    ),
    flags=(
        Flag("author", "a", 'Who made it (e.g., "Ada <ada@example.org>")', "string", ""),
        Flag("change", "c", "Apply a Dockerfile instruction to the image", "list"),
        Flag("message", "m", "Message of the change", "string", ""),
        Flag("no-pause", "", "Do not pause the container meanwhile"),
        Flag("pause", "p", "", default=True, hidden=True),
    ),
    at_least=1,
    at_most=2,
    words="container",
)


def run(
    shell: Shell,
    words: list[str],
    *,
    author: str,
    change: list[str],
    message: str,
    no_pause: bool,
    pause: bool,
) -> int:
    """Print the new image's ID."""
    ref, *names = words
    query: dict[str, object] = {
        "container": ref,
        "comment": message,
        "author": author,
        "changes": change,
        "pause": "0" if no_pause or not pause else None,
    }
    if names and names[0]:
        repository, tag = split_tag(names[0])
        query["repo"], query["tag"] = canonical(repository), tag
    shell.out.line(shell.client.images.commit(query, {}))
    return 0
