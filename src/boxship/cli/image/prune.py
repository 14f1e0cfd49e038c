"""Remove images that nothing uses."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.image.naming import removed_line
from boxship.cli.pruning import prune_filters, show_deleted, show_reclaimed, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="prune [OPTIONS]",
    summary="Remove unused images",
    names=("image prune",),
    flags=(
        Flag("all", "a", "Remove all that no container uses, not only untagged ones"),
        Flag("filter", "", "Remove only those that meet a condition", "filter"),
        Flag("force", "f", "Do not ask"),
    ),
    at_most=0,
    words="",
)


def run(shell: Shell, words: list[str], *, all: bool, filter: list[str], force: bool) -> int:
    """Remove them after a question, and say what that gave back."""
    filters = prune_filters(shell, filter)
    filters["dangling"] = ["false" if all else "true"]
    what = "all images without at least one container associated to them"
    if not force and not shell.confirm(warning(what if all else "all dangling images")):
        return 0
    report = shell.client.images.prune(filters)
    lines = [removed_line(step) for step in report.get("ImagesDeleted") or []]
    show_deleted(shell, "Deleted Images:", lines)
    show_reclaimed(shell, report.get("SpaceReclaimed", 0))
    return 0
