"""Remove build cache."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell
    from boxship.client.builds import Builds
    from boxship.spec.buildkit import control_pb2 as pb

COMMAND = Command(
    usage="prune [OPTIONS]",
    summary="Remove build cache",
    names=("buildx prune", "builder prune"),
    flags=(
        Flag("all", "a", "Remove also what images share"),
        Flag("builder", "", "Only the engine's own builder, default", "string", "", hidden=True),
        Flag("filter", "", "Remove only records that meet a condition", "filter"),
        Flag("force", "f", "Do not ask"),
        Flag("keep-storage", "", "Amount of cache to keep", "bytes", 0, hidden=True),
        Flag("max-used-space", "", "Most space that the cache may take", "bytes", 0),
        Flag("min-free-space", "", "Space that the disk is to have free", "bytes", 0),
        Flag("reserved-space", "", "Space that the cache may keep", "bytes", 0),
        Flag("verbose", "", "Show all that is known of each"),
    ),
    at_most=0,
)


def run(
    shell: Shell,
    words: list[str],
    *,
    all: bool,
    builder: str,
    filter: list[str],
    force: bool,
    keep_storage: int,
    max_used_space: int,
    min_free_space: int,
    reserved_space: int,
    verbose: bool,
) -> int:
    """Remove, after a question, and say what that gave back."""
    what = "all build cache" if all else "all dangling build cache"
    question = f"WARNING! This will remove {what}. Are you sure you want to continue?"
    if not force and not shell.confirm(question):
        return 0
    find_libraries()
    from boxship.cli.building.records import TITLES, details, row
    from boxship.cli.building.remote import ask
    from boxship.lib.units import human_size
    from boxship.spec.buildkit import control_pb2 as pb

    request = pb.PruneRequest(
        filter=[text.replace("=", "==", 1) for text in filter],
        all=all,
        reserved_space=reserved_space or keep_storage,
        max_used_space=max_used_space,
        min_free_space=min_free_space,
    )

    async def prune(builds: Builds) -> list[pb.UsageRecord]:
        return [one async for one in builds.prune(request)]

    gone = ask(shell, prune)
    if gone and not verbose:
        shell.out.line(TITLES)
    for one in gone:
        shell.out.line(details(one) if verbose else row(one))
    shell.out.line(f"Total:\t{human_size(sum(one.size for one in gone))}")
    return 0
