"""Show what a container has printed."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.output import write_all
from boxship.client.frames import STDERR, Frames
from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="logs [OPTIONS] CONTAINER",
    summary="Fetch the logs of a container",
    names=("container logs", "logs"),
    flags=(
        Flag("details", "", "Show what the log options add"),
        Flag("follow", "f", "Go on with what it prints from now on"),
        Flag(
            "since", "", 'Start at a time (e.g. "2013-01-02T13:23:37Z") or "42m" ago', "string", ""
        ),
        Flag("tail", "n", "Number of lines from the end", "string", "all"),
        Flag("timestamps", "t", "Show the time of each line"),
        Flag("until", "", 'End at a time (e.g. "2013-01-02T13:23:37Z") or "42m" ago', "string", ""),
    ),
    at_least=1,
    at_most=1,
    words="container",
)


def run(
    shell: Shell,
    words: list[str],
    *,
    details: bool,
    follow: bool,
    since: str,
    tail: str,
    timestamps: bool,
    until: str,
) -> int:
    """Copy the log as it is: control characters of a program's output are its own affair."""
    containers = shell.client.containers
    found = containers.inspect(words[0])
    query = {
        "stdout": True,
        "stderr": True,
        "since": _time("since", since),
        "until": _time("until", until),
        "timestamps": timestamps,
        "follow": follow,
        "tail": tail,
        "details": details,
    }
    response = containers.logs(found["Id"], query)
    if found["Config"].get("Tty"):
        for piece in response.chunks():
            write_all(1, piece)
        return 0
    frames = Frames()
    for piece in response.chunks():
        for stream, part in frames.feed(piece):
            write_all(2 if stream == STDERR else 1, part)
    return 0


def _time(flag: str, text: str) -> str:
    if not text:
        return ""
    from boxship.cli.times import time_of

    try:
        return time_of(text)
    except InvalidRequest:
        problem = f'invalid value for "{flag}": failed to parse value as time or duration: "{text}"'
        raise InvalidRequest(problem) from None
