"""Programs of the host's that want to be told of a container's steps.

    prestart, createRuntime   in our namespaces, when the container's have been made
    createContainer           in the container's namespaces, the host's files still in reach
    startContainer            in the container, before its program (see `native`)
    poststart, poststop       in our namespaces, after

Each gets the container's state on standard input. One that fails before the program is started
ends the container; later ones are reported only.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from boxship.kernel import namespaces, processes
from boxship.runtime.errors import StartFailed
from boxship.spec.oci import runtime as oci

MOST_OUTPUT: Final = 4096
_FOREVER: Final = 86400.0


def any_outside(hooks: oci.Hooks | None) -> bool:
    """Whether some are to run before the root is entered."""
    return bool(hooks and (hooks.prestart or hooks.create_runtime or hooks.create_container))


def any_inside(hooks: oci.Hooks | None) -> bool:
    """Whether some are to run inside, right before the program."""
    return bool(hooks and hooks.start_container)


def run_outside(
    hooks: oci.Hooks | None, state: oci.State, pidfd: int, kinds: Sequence[str]
) -> None:
    """Run those that come between the namespaces and the root."""
    if hooks is None:
        return
    for name, listed in (("prestart", hooks.prestart), ("createRuntime", hooks.create_runtime)):
        run(name, listed, state)
    run("createContainer", hooks.create_container, state, (pidfd, kinds))


def run_late(name: str, listed: Sequence[oci.Hook], state: oci.State) -> list[str]:
    """Run all of these, whatever becomes of each; return what went wrong."""
    said = []
    for hook in listed:
        try:
            run(name, [hook], state)
        except StartFailed as failure:
            said.append(failure.message)
    return said


def run(
    name: str,
    listed: Sequence[oci.Hook],
    state: oci.State,
    inside: tuple[int, Sequence[str]] | None = None,
) -> None:
    """Run hooks in order; the first that fails is a StartFailed."""
    document = msgspec.json.encode(state)
    for number, hook in enumerate(listed):
        code, output = _run(hook, document, inside)
        if code is None:
            raise StartFailed(f"error running {name} hook #{number}: the hook took too long")
        if code:
            raise StartFailed(
                f"error running {name} hook #{number}: exit status {code}, stdout: , "
                f"stderr: {output.decode(errors='replace')}"
            )


def _run(
    hook: oci.Hook, document: bytes, inside: tuple[int, Sequence[str]] | None
) -> tuple[int | None, bytes]:
    """Return the exit code (None when it took too long) and what was written on stderr."""
    told, tells = os.pipe2(os.O_CLOEXEC)
    hears, errors = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            _become(hook, told, errors, inside)
        finally:
            os._exit(127)
    os.close(told)
    os.close(errors)
    pidfd = processes.open_pidfd(pid)
    try:
        return _attend(pidfd, tells, document, hears, hook.timeout)
    finally:
        os.close(hears)
        os.close(pidfd)


def _become(
    hook: oci.Hook, stdin: int, stderr: int, inside: tuple[int, Sequence[str]] | None
) -> None:
    """Be the hook; in a process of its own, and never to return."""
    os.dup2(stdin, 0)
    os.dup2(stderr, 1)
    os.dup2(stderr, 2)
    if inside is not None:
        pidfd, kinds = inside
        namespaces.setns(pidfd, sum(namespaces.FLAGS[kind] for kind in kinds if kind != "pid"))
    os.closerange(3, 1 << 16)
    environment = dict(line.partition("=")[::2] for line in hook.env)
    os.execve(hook.path, hook.args or [hook.path], environment)


def _attend(
    pidfd: int, tells: int, document: bytes, hears: int, timeout: int | None
) -> tuple[int | None, bytes]:
    deadline = time.monotonic() + (timeout or _FOREVER)
    try:
        os.write(tells, document)  # a state is smaller than what a pipe holds
    except BrokenPipeError:
        pass
    os.close(tells)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(hears, select.POLLIN)
    output = b""
    while True:
        ready = dict(poll.poll(max(0, deadline - time.monotonic()) * 1000))
        if not ready:
            processes.send_signal(pidfd, 9)
            processes.wait(pidfd)
            return None, output
        if hears in ready:
            part = os.read(hears, MOST_OUTPUT)
            output = (output + part)[:MOST_OUTPUT]
            if not part:
                poll.unregister(hears)
        if pidfd in ready and not ready.get(hears, 0) & select.POLLIN:
            ended = processes.wait(pidfd)
            return (processes.exit_code(ended) if ended else 0), output
