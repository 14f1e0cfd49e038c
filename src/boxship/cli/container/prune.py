"""Remove all stopped containers."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.pruning import prune_filters, show_deleted, show_reclaimed, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="prune [OPTIONS]",
    summary="Remove all stopped containers",
    names=("container prune",),
    flags=(
        Flag("filter", "", "Remove only those that meet a condition", "filter"),
        Flag("force", "f", "Do not ask"),
    ),
    at_most=0,
    words="container",
)


def run(shell: Shell, words: list[str], *, filter: list[str], force: bool) -> int:
    """Remove them after a question, and say what that gave back."""
    if not force and not shell.confirm(warning("all stopped containers")):
        return 0
    report = shell.client.containers.prune(prune_filters(shell, filter))
    show_deleted(shell, "Deleted Containers:", report.get("ContainersDeleted"))
    show_reclaimed(shell, report.get("SpaceReclaimed", 0))
    return 0
