"""Join the terminal to a running container."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.container.keys import keys_of
from boxship.cli.container.run import exit_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="attach [OPTIONS] CONTAINER",
    summary="Join the terminal to a running container",
    names=("container attach", "attach"),
    flags=(
        Flag("detach-keys", "", "Keys that detach from the container", "string", ""),
        Flag("no-stdin", "", "Do not attach STDIN"),
        Flag("sig-proxy", "", "Hand signals on to the program", "bool", True),
    ),
    at_least=1,
    at_most=1,
    words="container",
)


def run(
    shell: Shell, words: list[str], *, detach_keys: str, no_stdin: bool, sig_proxy: bool
) -> int:
    """Stay with the container until it ends; its exit code is ours."""
    from boxship.cli.session import Session
    from boxship.cli.terminal import Detached

    (ref,) = words
    containers = shell.client.containers
    found = containers.inspect(ref)
    state, config = found["State"], found["Config"]
    if not state["Running"]:
        return shell.report("You cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        return shell.report("You cannot attach to a paused container, unpause it first")
    if state.get("Restarting"):
        return shell.report("You cannot attach to a restarting container, wait until it is running")
    tty = bool(config.get("Tty"))
    stdin = not no_stdin and bool(config.get("OpenStdin"))
    if stdin and tty and not shell.input_is_terminal():
        return shell.report("the input device is not a TTY")
    keys, shown_keys = keys_of(shell, detach_keys)
    waiting = containers.wait(found["Id"])
    attached = {
        "stream": True,
        "stdin": stdin,
        "stdout": True,
        "stderr": True,
        "detachKeys": shown_keys,
    }
    stream = containers.attach(found["Id"], attached)
    session = Session(
        stream,
        tty=tty,
        stdin=stdin,
        keys=keys,
        resize=lambda height, width: containers.resize(found["Id"], height, width),
        kill=(lambda name: containers.kill(found["Id"], name)) if sig_proxy and not tty else None,
    )
    try:
        session.run()
    except Detached:
        return 0
    return exit_status(shell, waiting)
