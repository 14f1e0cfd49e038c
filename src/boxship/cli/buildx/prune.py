"""Remove build cache."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxship.cli.shell import Shell
    from boxship.client.builds import Builds
    from boxship.spec.buildkit import control_pb2 as pb

COMMAND = Command(
    usage="prune [OPTIONS]",
    summary="Remove build cache",
    names=("buildx prune", "builder prune"),
    flags=(
        Flag("all", "a", "Include internal/frontend images"),
        Flag("builder", "", "Override the configured builder instance", "string", ""),
        Flag("debug", "D", "Accepted and without effect", hidden=True),
        Flag("filter", "", 'Provide filter values (e.g., "until=24h")', "filter"),
        Flag("force", "f", "Do not prompt for confirmation"),
        Flag("keep-storage", "", "Old name of --reserved-space", "bytes", 0, hidden=True),
        Flag("max-used-space", "", "Maximum amount of disk space for cache", "bytes", 0),
        Flag("min-free-space", "", "Target amount of free disk space after pruning", "bytes", 0),
        Flag("reserved-space", "", "Amount of disk space always allowed for cache", "bytes", 0),
        Flag("timeout", "", "How long a builder may take to answer", "duration", 20 * 10**9),
        Flag("verbose", "", "Provide a more verbose output"),
    ),
    at_most=0,
)
UNUSED = ("until", "unused-for")


def run(
    shell: Shell,
    words: list[str],
    *,
    all: bool,
    builder: str,
    debug: bool,
    filter: list[str],
    force: bool,
    keep_storage: int,
    max_used_space: int,
    min_free_space: int,
    reserved_space: int,
    timeout: int,
    verbose: bool,
) -> int:
    """Remove, after a question, and say what that gave back."""
    what = "all build cache" if all else "all dangling build cache"
    question = f"WARNING! This will remove {what}. Are you sure you want to continue?"
    if not force and not shell.confirm(question):
        return 0
    find_libraries()
    from boxship.cli.building.builders import chosen_builder
    from boxship.cli.building.records import details, pair, table
    from boxship.cli.building.remote import ask
    from boxship.errors import BoxshipError
    from boxship.lib.units import human_size

    try:
        request = _request(filter)
        request.all = all
        request.reserved_space = reserved_space or keep_storage
        request.max_used_space = max_used_space
        request.min_free_space = min_free_space

        async def prune(builds: Builds) -> list[pb.UsageRecord]:
            return [one async for one in builds.prune(request)]

        gone = ask(shell, prune, chosen_builder(shell, builder), timeout / 1e9)
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")
    if verbose:
        for one in gone:
            shell.out.line(details(one))
    elif gone:
        for line in table(gone):
            shell.out.line(line)
    shell.out.line(pair("Total", human_size(sum(one.size for one in gone))).replace("\t\t", "\t"))
    return 0


def _request(given: Iterable[str]) -> pb.PruneRequest:
    """Return a request with its conditions; how long something was not used is one of its own."""
    from boxship.cli.building.records import conditions
    from boxship.errors import InvalidRequest
    from boxship.lib import duration
    from boxship.spec.buildkit import control_pb2 as pb

    request = pb.PruneRequest()
    others: list[str] = []
    for text in given:
        key, _, value = text.partition("=")
        if key not in UNUSED:
            others.append(text)
            continue
        try:
            request.keep_duration = duration.parse(value)
        except ValueError:
            raise InvalidRequest(f"until filter should be a duration: {value!r}") from None
    request.filter.extend(conditions(others))
    return request
