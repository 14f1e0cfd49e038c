"""Remove volumes that nothing uses."""

from __future__ import annotations

from boxship.cli.command import Command, Flag, UsageError
from boxship.cli.pruning import prune_filters, show_deleted, show_reclaimed, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="prune [OPTIONS]",
    summary="Remove unused local volumes",
    names=("volume prune",),
    flags=(
        Flag("all", "a", "Remove those with a name too, not only anonymous ones"),
        Flag("filter", "", "Remove only those that meet a condition", "filter"),
        Flag("force", "f", "Do not ask"),
    ),
    at_most=0,
    words="",
)


def run(shell: Shell, words: list[str], *, all: bool, filter: list[str], force: bool) -> int:
    """Remove them after a question, and say what that gave back."""
    filters = prune_filters(shell, filter)
    if all:
        if "all" in filters:
            raise UsageError("conflicting options: cannot specify both --all and --filter all=1")
        filters["all"] = ["true"]
    what = "all local volumes" if all else "anonymous local volumes"
    if not force and not shell.confirm(warning(f"{what} not used by at least one container")):
        return 0
    report = shell.client.volumes.prune(filters)
    show_deleted(shell, "Deleted Volumes:", report.get("VolumesDeleted"))
    show_reclaimed(shell, report.get("SpaceReclaimed", 0))
    return 0
