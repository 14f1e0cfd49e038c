"""Create a container, start it and stay with it."""

from __future__ import annotations

from boxship.cli.command import Command, Flag, UsageError
from boxship.cli.container import description, flags
from boxship.cli.container.create import create
from boxship.cli.container.keys import keys_of
from boxship.cli.shell import Exit
from boxship.errors import BoxshipError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell
    from boxship.client.http import Response

COMMAND = Command(
    usage="run [OPTIONS] IMAGE [COMMAND] [ARG...]",
    summary="Create and run a new container from an image",
    names=("container run", "run"),
    flags=(
        *flags.COMMON,
        Flag("detach", "d", "Run in the background and print the container's ID"),
        Flag("detach-keys", "", "Keys that detach from the container", "string", ""),
        Flag("sig-proxy", "", "Hand signals on to the program", "bool", True),
    ),
    at_least=1,
    stops=True,
    words="image",
)
FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127


def run(shell: Shell, words: list[str], **options: Any) -> int:
    """Run the container; the program's exit code is ours, 125 and up say that it did not run."""
    detach: bool = options["detach"]
    body = description.build(options, words, shell.environment, shell.usage_tail)
    if detach:
        if options["attach"]:
            return shell.report("conflicting options: cannot specify both --attach and --detach")
        for key in ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce"):
            body[key] = False
    elif body["AttachStdin"] and body["Tty"] and not shell.input_is_terminal():
        return shell.report("the input device is not a TTY")
    if body["Tty"] and not detach:
        from boxship.cli.terminal import size

        body["HostConfig"]["ConsoleSize"] = list(size())
    try:
        identifier = create(shell, body, options)
    except UsageError:
        raise
    except BoxshipError as error:
        raise _failed(shell, error, FAILED) from error
    if detach:
        try:
            shell.client.containers.start(identifier)
        except BoxshipError as error:
            raise _failed(shell, error, status_of(error)) from error
        shell.out.line(identifier)
        return 0
    return _run_attached(shell, identifier, body, options)


def _failed(shell: Shell, error: BoxshipError, status: int) -> Exit:
    shell.fail(f"boxship: {error}{shell.usage_tail}")
    return Exit(status)


def status_of(error: BoxshipError) -> int:
    """Return the exit code for a container that could not be started, as a shell would give it."""
    text = str(error)
    for sign in ("executable file not found", "no such file or directory", "system cannot find"):
        if sign in text:
            return NOT_FOUND
    if "permission denied" in text.lower() or "is a directory" in text:
        return NOT_EXECUTABLE
    return FAILED


def _run_attached(
    shell: Shell, identifier: str, body: dict[str, Any], options: dict[str, Any]
) -> int:
    from boxship.cli.session import Session
    from boxship.cli.terminal import Detached

    containers = shell.client.containers
    tty: bool = body["Tty"]
    keys, shown_keys = keys_of(shell, options["detach_keys"])
    attached = {
        "stream": True,
        "stdin": body["AttachStdin"],
        "stdout": body["AttachStdout"],
        "stderr": body["AttachStderr"],
        "detachKeys": shown_keys,
    }
    removes: bool = body["HostConfig"]["AutoRemove"]
    watches = body["AttachStdout"] or body["AttachStderr"]
    try:
        # Attached and waiting before it starts: no output and no exit may fall between.
        stream = containers.attach(identifier, attached)
        waiting = containers.wait(identifier, "removed" if removes else "next-exit")
    except BoxshipError as error:
        raise _failed(shell, error, FAILED) from error
    if not watches:
        shell.out.line(identifier)
        shell.out.flush()

    def start() -> None:
        try:
            containers.start(identifier)
        except BoxshipError as error:
            if removes:
                waiting.read()
            raise _StartFailed(error) from error

    session = Session(
        stream,
        tty=tty,
        stdin=body["AttachStdin"],
        stdout=body["AttachStdout"],
        stderr=body["AttachStderr"],
        keys=keys,
        resize=lambda height, width: containers.resize(identifier, height, width),
        kill=(lambda name: containers.kill(identifier, name)) if options["sig_proxy"] else None,
        begin=start,
    )
    try:
        session.run()
    except _StartFailed as failure:
        raise _failed(shell, failure.error, status_of(failure.error)) from failure
    except Detached:
        return 0
    if not watches:
        return 0
    return exit_status(shell, waiting)


class _StartFailed(Exception):
    def __init__(self, error: BoxshipError) -> None:
        super().__init__(str(error))
        self.error = error


def exit_status(shell: Shell, waiting: Response) -> int:
    """Return the exit code that the engine reports."""
    report = shell.client.containers.wait_result(waiting)
    problem = (report.get("Error") or {}).get("Message")
    if problem:
        shell.say(f"Error waiting for container: {problem}")
        return FAILED
    return report["StatusCode"] & 0xFF
