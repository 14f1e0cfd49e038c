"""Starting the engine when none answers on its own socket and the caller is root."""

from __future__ import annotations

import os
import sys
import time

from boxship.client.target import DEFAULT_SOCKET
from boxship.errors import Unavailable

LOG_FOLDER = "/var/log/boxship"
LOCK = "/run/boxship.start.lock"
DEADLINE = 20.0
PAUSE = 0.01
TAIL = 2000


def start_engine() -> None:
    """Start `boxshipd` in the background and return when its socket answers.

    Two commands at once start one engine: the second waits for the first. Unavailable, with the end
    of the engine's log, when it does not come up.
    """
    import fcntl

    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not answers():
            os.makedirs(LOG_FOLDER, mode=0o750, exist_ok=True)
            log = os.path.join(LOG_FOLDER, "boxshipd.log")
            begin = os.path.getsize(log) if os.path.exists(log) else 0
            _wait(spawn(log), log, begin)
    finally:
        os.close(lock)


def interpreter() -> str:
    """Return the Python that has the engine's dependencies: the one we run in.

    It must be called by this name too: an interpreter finds its environment by it.
    """
    return sys.executable


def spawn(log: str) -> int:
    """Start the engine in its own session, its output at the end of the log; return its pid."""
    source = __file__.rpartition("/boxship/cli/")[0]
    program = (
        f"import sys; sys.path.insert(0, {source!r}); "
        "from boxship.daemon.main import main; sys.exit(main())"
    )
    environment = dict(os.environ)
    # The engine outlives this command: it must not inherit its terminal's or its caller's settings.
    for name in ("DOCKER_HOST", "BOXSHIP_HOST", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"):
        environment.pop(name, None)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.posix_spawn(
            interpreter(),
            [interpreter(), "-P", "-s", "-c", program],
            environment,
            file_actions=(
                (os.POSIX_SPAWN_DUP2, nothing, 0),
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
            ),
            setsid=True,
        )
    finally:
        os.close(output)
        os.close(nothing)


def _wait(pid: int, log: str, begin: int) -> None:
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if answers():
            return
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            raise Unavailable(f"the engine did not start (exit code {code}):\n{_tail(log, begin)}")
        time.sleep(PAUSE)
    raise Unavailable(
        f"the engine did not answer within {DEADLINE:.0f} seconds:\n{_tail(log, begin)}"
    )


def answers() -> bool:
    """Tell whether somebody listens on the engine's own socket."""
    import _socket

    probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        probe.connect(DEFAULT_SOCKET)
    except OSError:
        return False
    finally:
        probe.close()
    return True


def _tail(log: str, begin: int) -> str:
    """Return the end of what this start has put into the log."""
    try:
        with open(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(begin, file.tell() - TAIL))
            return file.read().decode("utf-8", "replace").strip() + f"\n(from {log})"
    except OSError:
        return f"(no log at {log})"
