"""Commands of another OCI runtime: carried out within a time, or ended.

<container's folder>/oci/config.json   the spec, with descriptors named by paths
                         rootfs, trees where the root and other mounts are attached, in a mount
                                       namespace that is gone when the command has ended
                         log, pid, console, docker-init
                         exec-*/       the same for one more program
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from boxship.kernel import processes
from boxship.runtime.api import Stdio
from boxship.runtime.errors import NOT_EXECUTABLE, NOT_FOUND, OTHER, StartFailed

ENDS_WITHIN: Final = 5.0  # seconds for a runtime that was killed
NO_CHILD: Final = 125  # status of a process that did not become the runtime
ENVIRONMENT: Final = {"PATH": os.defpath}
_ABSENT: Final = ("executable file not found", "no such file or directory")
_REFUSED: Final = ("permission denied", "is a directory")


class LogLine(msgspec.Struct):
    """A line of a runtime's log in the JSON format."""

    level: str = ""
    msg: str = ""


class Commands:
    """Calls one runtime's program."""

    def __init__(self, path: str, args: Sequence[str], patience: float) -> None:
        """`args` go before every command; `patience` is how many seconds one may take."""
        self._path = path
        self._args = args
        self._patience = patience

    def call(
        self,
        folder: str,
        doing: str,
        *words: str,
        stdio: Stdio | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        """Run a command to its end; its own words become the failure's.

        `before` is done in its process first. It keeps its log in the folder.
        """
        log = f"{folder}/log"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(log)
        command = [self._path, *self._args, "--log", log, "--log-format", "json", *words]
        status = self._run(command, doing, stdio or Stdio(), before)
        if status:
            raise refused(doing, read_log(log), os.waitstatus_to_exitcode(status))

    def _run(
        self,
        command: list[str],
        doing: str,
        stdio: Stdio,
        before: Callable[[], None] | None,
    ) -> int:
        """Return the status with which a command ends."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        with open(reading, "rb", buffering=0) as said:
            try:
                pid = fork(command, stdio, before, writing) if before else spawn(command, stdio)
            except OSError as failure:
                raise StartFailed(f"{doing}: {told(command, failure)}: unknown") from failure
            finally:
                os.close(writing)
            self._wait(pid, command[0], doing)
            if why := os.read(said.fileno(), 1000).decode(errors="replace"):
                raise StartFailed(f"{doing}: {why}: unknown")
        return os.waitpid(pid, 0)[1]

    def _wait(self, pid: int, path: str, doing: str) -> None:
        """Wait until a command has ended, in time; it leads a session of its own."""
        pidfd = processes.open_pidfd(pid)
        try:
            if processes.has_ended(pidfd, self._patience):
                return
            os.killpg(pid, signal.SIGKILL)
            overdue = f"{path} did not answer within {self._patience:.0f} seconds"
            if processes.has_ended(pidfd, ENDS_WITHIN):
                os.waitpid(pid, 0)
            raise StartFailed(f"{doing}: {overdue}: unknown")
        finally:
            os.close(pidfd)


def spawn(command: list[str], stdio: Stdio) -> int:
    """Start the runtime, also from a process with several threads."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        actions = [
            (os.POSIX_SPAWN_DUP2, null if stream is None else stream, number)
            for number, stream in enumerate((stdio.stdin, stdio.stdout, stdio.stderr))
        ]
        return os.posix_spawn(
            command[0], command, ENVIRONMENT,
            file_actions=actions, setsid=True, setsigdef=[signal.SIGPIPE],
        )  # fmt: skip
    finally:
        os.close(null)


def fork(command: list[str], stdio: Stdio, before: Callable[[], None], tell: int) -> int:
    """Start the runtime in a process that does something else first, and dies with this one."""
    pid = os.fork()
    if pid:
        return pid
    try:
        processes.die_with_parent()
        os.setsid()
        before()
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        given = (stdio.stdin, stdio.stdout, stdio.stderr)
        # None of them may lie where another is to be put.
        high = [_high(null if stream is None else stream) for stream in given]
        for number, stream in enumerate(high):
            os.dup2(stream, number)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execve(command[0], command, ENVIRONMENT)
    except OSError as failure:
        os.write(tell, told(command, failure).encode())
    except BaseException as failure:
        os.write(tell, repr(failure).encode()[:1000])
    finally:
        os._exit(NO_CHILD)


def told(command: Sequence[str], failure: OSError) -> str:
    return f"{failure.filename or command[0]}: {os.strerror(failure.errno or 0).lower()}"


def _high(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)


def read_log(path: str) -> str:
    """Return the last error that a runtime has logged."""
    said = ""
    try:
        with open(path, "rb") as file:
            lines = file.read(1 << 20).splitlines()
    except FileNotFoundError:
        return said
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):
            found = msgspec.json.decode(line, type=LogLine)
            if found.level in ("error", "fatal"):
                said = found.msg
    return said


def refused(doing: str, said: str, code: int) -> StartFailed:
    """Return the failure for what a runtime said, with the exit code that its words stand for."""
    words = said.lower()
    if any(text in words for text in _ABSENT):
        stands_for = NOT_FOUND
    elif any(text in words for text in _REFUSED):
        stands_for = NOT_EXECUTABLE
    else:
        stands_for = OTHER
    reason = said or f"the runtime ended with status {code}"
    return StartFailed(f"{doing}: {reason}: unknown", stands_for)


class Console:
    """The socket on which a runtime hands over the terminal it has opened.

    A socket's path must be short, so its folder is named by a descriptor of this process.
    """

    def __init__(self, folder: str, *, wanted: bool) -> None:
        self._listener: socket.socket | None = None
        self._folder = -1
        self.arguments: tuple[str, ...] = ()
        if wanted:
            self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            path = f"/proc/{os.getpid()}/fd/{self._folder}/console"
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            self._listener.listen(1)
            self.arguments = ("--console-socket", path)

    def __enter__(self) -> Console:
        return self

    def take(self) -> int | None:
        """Return the terminal's master side; the runtime has sent it by now."""
        if self._listener is None:
            return None
        if not select.select([self._listener], [], [], ENDS_WITHIN)[0]:
            raise StartFailed("the runtime did not hand over its terminal")
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(ENDS_WITHIN)
            _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
        if not descriptors:
            raise StartFailed("the runtime did not hand over its terminal")
        os.set_inheritable(descriptors[0], False)
        return descriptors[0]

    def __exit__(self, *_: object) -> None:
        if self._listener is not None:
            self._listener.close()
            os.close(self._folder)
