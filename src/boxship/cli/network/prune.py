"""Remove networks that nothing uses."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.pruning import prune_filters, show_deleted, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="prune [OPTIONS]",
    summary="Remove all unused networks",
    names=("network prune",),
    flags=(
        Flag("filter", "", "Remove only those that meet a condition", "filter"),
        Flag("force", "f", "Do not ask"),
    ),
    at_most=0,
    words="",
)


def run(shell: Shell, words: list[str], *, filter: list[str], force: bool) -> int:
    """Remove them after a question."""
    question = warning("all custom networks not used by at least one container")
    if not force and not shell.confirm(question):
        return 0
    report = shell.client.networks.prune(prune_filters(shell, filter))
    show_deleted(shell, "Deleted Networks:", report.get("NetworksDeleted"))
    return 0
