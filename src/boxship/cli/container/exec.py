"""Run a further program in a running container."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.container import environment
from boxship.cli.container.flags import check_environment
from boxship.cli.container.keys import keys_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="exec [OPTIONS] CONTAINER COMMAND [ARG...]",
    summary="Run a further program in a running container",
    names=("container exec", "exec"),
    flags=(
        Flag("detach", "d", "Run the program in the background"),
        Flag("detach-keys", "", "Keys that detach from the program", "string", ""),
        Flag("env", "e", "Set environment variables", "list", check=check_environment),
        Flag("env-file", "", "Read environment variables from a file", "list"),
        Flag("interactive", "i", "Keep STDIN open even if not attached"),
        Flag("privileged", "", "Give the program all the host's privileges"),
        Flag("tty", "t", "Allocate a terminal"),
        Flag("user", "u", "Name or ID of the user (<name|uid>[:<group|gid>])", "string", ""),
        Flag("workdir", "w", "Working directory", "string", ""),
    ),
    at_least=2,
    stops=True,
    words="container",
)


def run(
    shell: Shell,
    words: list[str],
    *,
    detach: bool,
    detach_keys: str,
    env: list[str],
    env_file: list[str],
    interactive: bool,
    privileged: bool,
    tty: bool,
    user: str,
    workdir: str,
) -> int:
    """Run the program; its exit code is ours."""
    ref, *command = words
    try:
        variables = environment.variables_of(env_file, env, shell.environment)
    except ValueError as error:
        return shell.report(str(error))
    stdin = interactive and not detach
    if stdin and tty and not shell.input_is_terminal():
        return shell.report("the input device is not a TTY")
    keys, shown_keys = keys_of(shell, detach_keys)
    body: dict[str, Any] = {
        "User": user,
        "Privileged": privileged,
        "Tty": tty,
        "AttachStdin": stdin,
        "AttachStderr": not detach,
        "AttachStdout": not detach,
        "DetachKeys": shown_keys,
        "Env": variables or None,
        "WorkingDir": workdir,
        "Cmd": command,
    }
    console: list[int] | None = None
    if tty and not detach:
        from boxship.cli.terminal import size

        console = list(size())
        body["ConsoleSize"] = console
    execs = shell.client.execs
    # A container that is not running is told by its own name and not by the exec's.
    identifier = execs.create(ref, body)
    start: dict[str, Any] = {"Detach": detach, "Tty": tty}
    if console is not None:
        start["ConsoleSize"] = console
    if detach:
        execs.start(identifier, start)
        return 0
    return _run_attached(shell, identifier, start, keys, stdin=stdin, tty=tty)


def _run_attached(
    shell: Shell, identifier: str, start: dict[str, Any], keys: bytes, *, stdin: bool, tty: bool
) -> int:
    from boxship.cli.session import Session
    from boxship.cli.terminal import Detached

    execs = shell.client.execs
    session = Session(
        execs.start_attached(identifier, start),
        tty=tty,
        stdin=stdin,
        keys=keys,
        resize=lambda height, width: execs.resize(identifier, height, width),
    )
    try:
        session.run()
    except Detached:
        return shell.report("read escape sequence")
    return (execs.inspect(identifier).get("ExitCode") or 0) & 0xFF
