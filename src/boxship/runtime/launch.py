"""Starting a planned process and talking with it until its program runs."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from boxship.kernel import processes
from boxship.runtime.errors import NOT_FOUND, StartFailed, exit_code_of
from boxship.runtime.laid import Laid
from boxship.runtime.talk import PROGRAM, READY, SECOND, VALUE

SCORE: Final = "/proc/self/oom_score_adj"
WRONG_KIND: Final = (
    "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified "
    "host path exists and is the expected type"
)
KILLED: Final = "the process was killed while it was set up"
SEEN_BY_OTHERS: Final = 10.0  # seconds from one word to the next of who joins others
ALONE: Final = 60.0  # of who is in a pid namespace of its own
ENDS_WITHIN: Final = 2.0  # seconds for a killed process that nobody can hold
TAKEN_WITHIN: Final = 0.1  # for one that somebody may

INSIDE: Final = frozenset({READY, PROGRAM})  # where a second that is made last waits

Meeting = Callable[["Launched"], None]
Words = Callable[[int], tuple[str, str]]
"""The name of a call by its index, and what it says could not be done."""


class HeldUp(StartFailed):
    """The process has said nothing for too long. It was killed."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the process did not come to its program within {seconds:.0f} seconds "
            "(is it traced, or its container frozen?)",
            128,
        )


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
        divides_last: bool = False,
    ) -> None:
        """`clone` makes it; `master` is the index of the call that opens its terminal.

        With a second the process that counts is a child of the one that is cloned. When it is made
        last, others may be able to speak for it: it is heard about nothing but its being ready.
        """
        self._words = words
        self._wire = wire
        self._master = master
        self._has_second = self._joins = has_second
        self._divides_last = divides_last
        self._second = -1  # a descriptor of the one that counts, while the first is there too
        self._second_pid = 0
        self._said: bytes | None = None  # heard, and not yet dealt with
        self._memory: Laid | None = None
        self._score = OomScore(score)
        try:
            self.pid, self._memory = clone()
        except BaseException:
            self._score.restore()
            raise
        self.pidfd = self._memory.pidfd
        self._is_ours = has_second and processes.is_child(self.pidfd)
        self.master: int | None = None

    @property
    def waits_for(self) -> list[int]:
        """The descriptors of which one becomes readable when it may go on."""
        wire = [self._wire.fileno()] if self._said is None else []
        return [*wire, self.pidfd] if self._has_second else wire

    @property
    def has_second(self) -> bool:
        """Whether the process that counts is still to come."""
        return self._has_second

    @property
    def patience(self) -> float:
        """How many seconds it may take from one word to the next.

        One with a second comes to where others are, who can hold it up; others are alone.
        """
        return SEEN_BY_OTHERS if self._joins else ALONE

    def follow(self, meetings: Mapping[bytes, Meeting], until: bytes = b"") -> None:
        """Go along until the process says `until`, or (by its silence) that its program runs.

        A failure is a StartFailed, and the process is gone then.
        """
        while not self.advance(meetings, until):
            poll = select.poll()
            for fd in self.waits_for:
                poll.register(fd, select.POLLIN)
            if not poll.poll(self.patience * 1000):
                self.abandon()
                raise HeldUp(self.patience)

    def advance(self, meetings: Mapping[bytes, Meeting], until: bytes = b"") -> bool:
        """Go along as `follow` does as far as there is nothing to wait for; True at the end."""
        while True:
            self._note_second()
            if self._said is None:
                self._said = self._hear()
            if self._said is not None and self._said != until and self._said not in meetings:
                failure = self._why()
                self.abandon()
                raise failure
            if self._has_second and processes.has_ended(self.pidfd):
                self._take_second()
            if self._said is None or (self._has_second and not self._is_from_first):
                return False
            said, self._said = self._said, None
            if said == until:
                return True
            if self._divides_last and not self._has_second and said not in INSIDE:
                self.abandon()
                raise StartFailed(KILLED, 128)
            meetings[said](self)
            self.go_on()

    def _note_second(self) -> None:
        """Hold the second process as soon as there is one: it may end before the first does."""
        assert self._memory
        if self._has_second and self._second < 0 and (pid := self._memory.scratch(SECOND)):
            self._second, self._second_pid = self._hold(pid), pid

    def _hold(self, pid: int) -> int:
        """Hold the second process. Who traces it can write its number: another's is none."""
        pidfd = processes.open_pidfd(pid)
        ours = processes.is_child(pidfd) if self._is_ours else processes.is_sibling(pid)
        if not ours:
            os.close(pidfd)
            raise ProcessLookupError(f"{pid} is another's process")
        return pidfd

    @property
    def _is_from_first(self) -> bool:
        """Whether what was heard was said before there was a second."""
        return bool(self._said and self._memory and not self._memory.scratch(SECOND))

    def go_on(self) -> None:
        """Let the process go on from where it waits."""
        self._wire.send(b"g")

    def _hear(self) -> bytes | None:
        """Return what was said; nothing at its end, None when there is something to wait for."""
        try:
            return self._wire.recv(1, socket.MSG_DONTWAIT)
        except (InterruptedError, BlockingIOError):
            return None
        except ConnectionResetError:
            return b""

    def _take_second(self) -> None:
        """The process cloned has made another, which is the one that counts, and has ended."""
        assert self._memory
        self._note_second()
        _reap(self.pidfd)
        os.close(self.pidfd)
        self._has_second = False
        self.pidfd, self._second = self._second, -1
        if self.pidfd < 0:
            failed = self._memory.failure() is not None
            failure = self._why() if failed else StartFailed(KILLED, 128)
            self.abandon()
            raise failure
        self.pid = self._second_pid
        self._score.restore()  # it has one of its own from here on

    def move(self, memory: Laid) -> None:
        """Look from now on elsewhere at what was laid out."""
        self._memory = memory

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
        """Kill the process, and give all back. Who traces it may keep it, but not from ending."""
        if self.pidfd >= 0:
            self.pidfd = _end(self.pidfd, TAKEN_WITHIN if self._is_seen else ENDS_WITHIN)
        if self._memory and self._has_second:
            with suppress(ProcessLookupError):  # not our child, and waited for by its parent
                self._note_second()
        if self._second >= 0:
            self._second = _end(self._second, TAKEN_WITHIN)
        self._has_second = False
        if self.master is not None:
            os.close(self.master)
            self.master = None
        self.close()

    @property
    def _is_seen(self) -> bool:
        """Whether it is where others are."""
        return self._joins and not self._has_second

    def close(self) -> None:
        """Let go of what only the way to the program needed."""
        self._wire.close()
        self._score.restore()
        if self._memory:
            self._memory.close()
            self._memory = None


def _end(pidfd: int, within: float) -> int:
    """Kill a process, and have no descriptor of it any more."""
    processes.send_signal(pidfd, 9)
    if processes.has_ended(pidfd, within):
        _reap(pidfd)
    os.close(pidfd)
    return -1


def _reap(pidfd: int) -> None:
    """Wait for one that has ended, if it is our child: another's is waited for by that one.

    One that is traced stays until its tracer lets it go; who waits for all children then, does.
    """
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | processes.ANY_CHILD)
    except ChildProcessError:
        pass


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
