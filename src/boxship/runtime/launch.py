"""Starting a planned process and talking with it until its program runs."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Mapping
from typing import Final

from boxship.kernel import processes
from boxship.runtime.errors import NOT_FOUND, StartFailed, exit_code_of
from boxship.runtime.laid import Laid
from boxship.runtime.talk import FAILED, SECOND, VALUE

SCORE: Final = "/proc/self/oom_score_adj"
WRONG_KIND: Final = (
    "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified "
    "host path exists and is the expected type"
)
ANYTHING: Final = 0x40000000  # __WALL


Meeting = Callable[["Launched"], None]
Words = Callable[[int], tuple[str, str]]
"""The name of a call by its index, and what it says could not be done."""


class Launched:
    """A process between its clone and its program."""

    def __init__(
        self,
        clone: Callable[[], tuple[int, Laid]],
        words: Words,
        wire: socket.socket,
        score: int | None,
        *,
        master: int | None = None,
        has_second: bool = False,
    ) -> None:
        """`clone` makes it; `master` is the index of the call that opens its terminal.

        With a second the process that counts is a child of the one that is cloned.
        """
        self._words = words
        self._wire = wire
        self._master = master
        self._has_second = has_second
        self._memory: Laid | None = None
        self._score = OomScore(score)
        try:
            self.pid, self._memory = clone()
        except BaseException:
            self._score.restore()
            raise
        self.pidfd = self._memory.pidfd
        self.master: int | None = None

    def follow(self, meetings: Mapping[bytes, Meeting], until: bytes = b"") -> None:
        """Go along until the process says `until`, or (by its silence) that its program runs.

        A failure is a StartFailed, and the process is gone then.
        """
        while (said := self._hear()) != until:
            if said == FAILED or said not in meetings:
                failure = self._why()
                self.abandon()
                raise failure
            if self._has_second:
                self._take_second()
            meetings[said](self)
            self.go_on()
        if self._has_second:
            self._take_second()

    def go_on(self) -> None:
        """Let the process go on from where it waits."""
        self._wire.send(b"g")

    def _hear(self) -> bytes:
        while True:
            try:
                return self._wire.recv(1)
            except InterruptedError:
                continue
            except ConnectionResetError:
                return b""

    def _take_second(self) -> None:
        """The process cloned has made another, which is the one that counts, and has ended."""
        assert self._memory
        self._has_second = False
        _wait_end(self.pidfd)
        os.close(self.pidfd)
        self.pidfd = -1
        pid = self._memory.scratch(SECOND)
        if not pid:  # the silence was that of a process killed
            raise StartFailed("the process was killed while it was set up", 128)
        self.pid = pid
        self.pidfd = processes.open_pidfd(pid)

    def take_master(self) -> None:
        """Take a copy of the terminal's side that the process has opened for us."""
        assert self._memory
        assert self._master is not None
        number = self._memory.result(self._master)
        self.master = processes.take_descriptor(self.pidfd, number)

    def _why(self) -> StartFailed:
        assert self._memory
        failed = self._memory.failure()
        if failed is None:
            return StartFailed("the process ended while it was set up")
        index, number = failed
        name, about = self._words(index)
        if name == VALUE and about.endswith("$PATH"):
            return StartFailed(about, exit_code_of(number))
        reason = os.strerror(number).lower()
        if name == "move_mount" and number in (errno.EINVAL, errno.ENOTDIR):
            # A folder on a file, or the reverse: the words and the code that clients know.
            return StartFailed(f"{about}: not a directory", NOT_FOUND, hint=WRONG_KIND)
        return StartFailed(f"{about}: {reason}", exit_code_of(number))

    def abandon(self) -> None:
        """Kill the process, wait for its end and give all back."""
        if self.pidfd >= 0:
            processes.send_signal(self.pidfd, 9)
            _wait_end(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = -1
        if self._has_second and self._memory and (pid := self._memory.scratch(SECOND)):
            self._end_second(pid)
        if self.master is not None:
            os.close(self.master)
            self.master = None
        self.close()

    def _end_second(self, pid: int) -> None:
        """End the second process too; it is our child, so its number is still its own."""
        self._has_second = False
        try:
            os.kill(pid, 9)
            os.waitpid(pid, ANYTHING)
        except (ProcessLookupError, ChildProcessError):
            pass

    def close(self) -> None:
        """Let go of what only the way to the program needed."""
        self._wire.close()
        self._score.restore()
        if self._memory:
            self._memory.close()
            self._memory = None


def _wait_end(pidfd: int) -> None:
    """Wait for a process to end: our child, or a child of our parent, who waits for it too."""
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | ANYTHING)
    except ChildProcessError:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll()


class OomScore:
    """The score that a process made now begins with: it is inherited, so we have it meanwhile.

    A process that shares our memory could not set its own, since the kernel would give it to us
    as well; and for the same reason we take ours back only when the program runs.
    """

    def __init__(self, wanted: int | None) -> None:
        self._own: int | None = None
        if wanted is None:
            return
        descriptor = os.open(SCORE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            own = int(os.read(descriptor, 16))
        finally:
            os.close(descriptor)
        if own != wanted:
            self._write(wanted)
            self._own = own

    def restore(self) -> None:
        """Have our own again."""
        if self._own is not None:
            own, self._own = self._own, None
            self._write(own)

    def _write(self, value: int) -> None:
        try:
            descriptor = os.open(SCORE, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"%d" % value)
            finally:
                os.close(descriptor)
        except OSError as failure:
            number = failure.errno or 0
            reason = os.strerror(number).lower()
            raise StartFailed(
                f"can't set oom_score_adj: write {SCORE}: {reason}", exit_code_of(number)
            ) from failure
