"""A runtime without containers: it runs a bundle's program as an ordinary process.

It does for tests of the shim what matters to a shim: descriptors, a terminal, a child to wait
for, a start that fails with a reason. `main` is an entry point for a spawner that has it.
"""

from __future__ import annotations

import os
import pty
import signal
import socket

from boxship.runtime import api
from boxship.runtime.errors import StartFailed, exit_code_of
from boxship.shim.needs import MemoryEvents
from boxship.shim.protocol import RuntimeChoice
from boxship.shim.spawner import serve
from boxship.spec.oci import runtime as oci

IGNORED = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


class PlainRuntime:
    """Every container of this process is one process group."""

    def __init__(self) -> None:
        self._groups: dict[str, int] = {}
        self.spawns = _spawn

    def run(self, request: api.CreateRequest) -> api.Init:
        assert request.spec.process
        init = self.spawns(request.spec.process, request.stdio)
        self._groups[request.id] = init.pid
        return init

    def create(self, request: api.CreateRequest) -> api.Init:
        raise NotImplementedError

    def start(self, init: api.Init) -> None:
        raise NotImplementedError

    def exec(self, request: api.ExecRequest) -> api.Init:
        return self.spawns(request.process, request.stdio)

    def kill_all(self, container: str) -> None:
        if container in self._groups:
            try:
                os.killpg(self._groups[container], signal.SIGKILL)
            except ProcessLookupError:
                pass

    def adopt(self, container: str, pid: int) -> None:
        if pid:
            self._groups[container] = pid

    def delete(self, container: str) -> None:
        self._groups.pop(container, None)


def _spawn(process: oci.Process, stdio: api.Stdio) -> api.Init:
    actions: list[tuple[object, ...]] = []
    terminal = None
    if process.terminal:
        terminal, slave = pty.openpty()
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.ttyname(slave), os.O_RDWR, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, 0, number) for number in (1, 2)]
    else:
        for number, given in enumerate((stdio.stdin, stdio.stdout, stdio.stderr)):
            if given is None:
                actions.append((os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0))
            else:
                actions.append((os.POSIX_SPAWN_DUP2, given, number))
    env = dict(item.split("=", 1) for item in process.env)
    try:
        pid = os.posix_spawn(
            process.args[0],
            process.args,
            env,
            file_actions=actions,
            setsid=True,
            setsigdef=IGNORED,
            setsigmask=(),
        )
    except OSError as failure:
        if terminal is not None:
            os.close(terminal)
        text = f'exec: "{process.args[0]}": {failure.strerror}'
        raise StartFailed(text, exit_code_of(failure.errno or 0)) from failure
    finally:
        if process.terminal:
            os.close(slave)
    return api.Init(pid, os.pidfd_open(pid), terminal)


def _spawn_sibling(process: oci.Process, stdio: api.Stdio) -> api.Init:
    """Spawn by a process that ends at once: its child becomes that of the keeper, a subreaper."""
    ours, theirs = socket.socketpair()
    middle = os.fork()
    if middle == 0:
        _be_middle(theirs, process, stdio)
    theirs.close()
    with ours:
        said, fds, _, _ = socket.recv_fds(ours, 4096, 2)
        os.waitpid(middle, 0)
    code, _, text = said.partition(b" ")
    if not fds:
        raise StartFailed(text.decode(), int(code))
    return api.Init(int(code), fds[0], fds[1] if fds[1:] else None)


def _be_middle(tells: socket.socket, process: oci.Process, stdio: api.Stdio) -> None:
    try:
        made = _spawn(process, stdio)
        fds = [made.pidfd] if made.terminal is None else [made.pidfd, made.terminal]
        socket.send_fds(tells, [b"%d " % made.pid], fds)
    except StartFailed as failure:
        tells.send(f"{failure.exit_code} {failure}".encode())
    finally:
        os._exit(0)


class PlainHost:
    def __init__(self) -> None:
        self._runtime = PlainRuntime()

    def runtime(self, choice: RuntimeChoice) -> api.Runtime:
        return self._runtime

    def plans_for(self, choice: RuntimeChoice) -> bool:
        return True

    def start_siblings(self) -> None:
        self._runtime.spawns = _spawn_sibling

    def ahead(self, address: int) -> None:
        """Nothing can be planned for ordinary processes."""

    def adopt(self, choice: RuntimeChoice, container: str, cgroup: str, pid: int) -> None:
        self._runtime.adopt(container, pid)

    def delete(self, choice: RuntimeChoice, container: str, within: float) -> bool:
        self._runtime.delete(container)
        return True

    def memory(self, cgroup: str) -> MemoryEvents | None:
        return None

    def sweep(self, choice: RuntimeChoice, container: str, cgroup: str) -> None:
        self._runtime.kill_all(container)
        self._runtime.delete(container)


def main(descriptor: int) -> None:
    serve(socket.socket(fileno=descriptor), PlainHost())
