"""Show what happens, as it happens."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.formatter import put
from boxship.cli.options import INSPECT_FORMAT_USAGE, filters_of
from boxship.cli.system.event import printer
from boxship.cli.times import time_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="events [OPTIONS]",
    summary="Get real time events from the server",
    names=(
        "system events",
        "events",
    ),
    flags=(
        Flag("filter", "f", "Show only events that meet a condition", "filter"),
        Flag("format", "", INSPECT_FORMAT_USAGE, "string", ""),
        Flag("since", "", "Show events since a time", "string", ""),
        Flag("until", "", "Stop at a time", "string", ""),
    ),
    at_most=0,
    words="",
)


def run(
    shell: Shell, words: list[str], *, filter: list[str], format: str, since: str, until: str
) -> int:
    """Print a line for each event."""
    show = printer(format)
    for event in shell.client.system.events(
        since=time_of(since), until=time_of(until), filters=filters_of(filter)
    ):
        put(shell, show(event))
        shell.out.flush()
    return 0
