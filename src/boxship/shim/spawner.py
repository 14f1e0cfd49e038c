"""The spawner: a warm, single-threaded process that forks a shim for each container.

It reads requests from the daemon and answers none: the shim it forks says the first word on the
connection that came with the request, and where no shim comes to be, that connection closes.
At the daemon's end it ends too; its shims go on.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
from typing import Final

import msgspec

from boxship.kernel import processes
from boxship.shim import fdsocket, protocol
from boxship.shim.keeper import Keeper, heed_no_signals, report
from boxship.shim.memory import keep_small
from boxship.shim.needs import Host
from boxship.shim.title import Title

UNLIKELY_VICTIM: Final = b"-999"  # of the kernel's search for memory
_SPAWN: Final = msgspec.msgpack.Decoder(protocol.Spawn)


def serve(daemon: socket.socket, host: Host) -> None:
    """Fork shims until the daemon's end of the connection closes."""
    title = prepare()
    inbox = protocol.Inbox()
    while True:
        data, fds = fdsocket.receive(daemon)
        if not data:
            return
        for envelope in inbox.feed(data, fds):
            _spawn(_SPAWN.decode(envelope.body), envelope.fds, daemon, host, title)


def prepare() -> Title:
    """Become what shims are forked from: nothing to collect, nothing to look into.

    What can be done here is not done in a shim: there each thing that is touched is a page more.
    """
    processes.set_dumpable(False)
    title = Title()
    title.set("boxship-spawner")
    _avoid_oom_killer()
    os.chdir("/")
    os.umask(0o022)
    heed_no_signals()
    signal.signal(signal.SIGCHLD, _reap)
    keep_small()
    gc.collect()
    gc.disable()
    gc.freeze()
    return title


def _reap(_number: int, _frame: object) -> None:
    """Wait for shims that have ended; it is nobody's business here how."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _avoid_oom_killer() -> None:
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(UNLIKELY_VICTIM)
    except OSError:
        pass  # not permitted here: the kernel may choose as it likes


def _spawn(
    request: protocol.Spawn, fds: list[int], daemon: socket.socket, host: Host, title: Title
) -> None:
    try:
        if os.fork() == 0:
            daemon.close()
            _be_shim(request, fds, host, title)
    except OSError as failure:
        report(failure)
    finally:
        fdsocket.close_all(fds)


def _be_shim(request: protocol.Spawn, fds: list[int], host: Host, title: Title) -> None:
    """Keep one container; never returns."""
    status = 1
    try:
        os.setsid()
        processes.become_subreaper()
        title.set(f"boxship-shim {request.container}")
        control = socket.socket(fileno=fds[0])
        Keeper(request.container, request.folder, host).run(control)
        status = 0
    except BaseException as failure:
        report(failure)
    finally:
        os._exit(status)
