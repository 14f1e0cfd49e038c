"""Start containers that have stopped or never ran."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.container.keys import keys_of
from boxship.errors import BoxshipError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="start [OPTIONS] CONTAINER [CONTAINER...]",
    summary="Start one or more stopped containers",
    names=("container start", "start"),
    flags=(
        Flag("attach", "a", "Show what it prints and hand signals on"),
        Flag("checkpoint", "", "Go on from this checkpoint", "string", "", hidden=True),
        Flag("checkpoint-dir", "", "Folder of checkpoints", "string", "", hidden=True),
        Flag("detach-keys", "", "Keys that detach from the container", "string", ""),
        Flag("interactive", "i", "Attach STDIN"),
    ),
    at_least=1,
    words="container",
)


def run(
    shell: Shell,
    words: list[str],
    *,
    attach: bool,
    checkpoint: str,
    checkpoint_dir: str,
    detach_keys: str,
    interactive: bool,
) -> int:
    """Start each, in order; with --attach there is one, and its exit code is ours."""
    if attach or interactive:
        if len(words) > 1:
            return shell.report("you cannot start and attach multiple containers at once")
        return _start_attached(shell, words[0], attach, detach_keys, interactive)
    failed: list[str] = []
    for name in words:
        try:
            shell.client.containers.start(name, checkpoint=checkpoint, folder=checkpoint_dir)
        except BoxshipError as error:
            shell.say(str(error))
            failed.append(name)
        else:
            shell.out.line(name)
            shell.out.flush()
    if failed:
        return shell.report(f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def _start_attached(
    shell: Shell, ref: str, attach: bool, detach_keys: str, interactive: bool
) -> int:
    from boxship.cli.session import Session
    from boxship.cli.terminal import Detached

    containers = shell.client.containers
    found = containers.inspect(ref)
    identifier, config = found["Id"], found["Config"]
    tty = bool(config.get("Tty"))
    stdin = interactive and bool(config.get("OpenStdin"))
    keys, shown_keys = keys_of(shell, detach_keys)
    attached = {
        "stream": True,
        "stdin": stdin,
        "stdout": True,
        "stderr": True,
        "detachKeys": shown_keys,
    }
    stream = containers.attach(identifier, attached)
    removes = bool(found["HostConfig"].get("AutoRemove"))
    waiting = containers.wait(identifier, "removed" if removes else "next-exit")
    session = Session(
        stream,
        tty=tty,
        stdin=stdin,
        keys=keys,
        resize=lambda height, width: containers.resize(identifier, height, width),
        kill=(lambda name: containers.kill(identifier, name)) if not tty else None,
        begin=lambda: containers.start(identifier),
    )
    try:
        session.run()
    except Detached:
        return 0
    report = containers.wait_result(waiting)
    return report["StatusCode"] & 0xFF if attach else 0
