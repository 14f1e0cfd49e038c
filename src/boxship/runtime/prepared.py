"""A plan that was laid out ahead, for this process to perform; see `ahead`, which makes it."""

from __future__ import annotations

import fcntl
import mmap
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

import msgspec

from boxship.kernel.syscalls import syscall
from boxship.runtime import mapping, talk
from boxship.runtime.api import Init
from boxship.runtime.errors import StartFailed
from boxship.runtime.laid import Laid
from boxship.runtime.launch import Launched, Meeting
from boxship.runtime.stage import Stage
from boxship.runtime.stub import Stub
from boxship.runtime.telling import told_as

WIRE = "wire"  # what a new process and the one that follows it talk over
LOW = 100  # the first of the numbers that are agreed upon, unless these are in use
ROOM = 80  # numbers kept free for descriptors as they come, below those
_TEXTS = msgspec.msgpack.Decoder(list[tuple[str, str]])


class Prepared(msgspec.Struct, omit_defaults=True):
    """What one who performs a plan has to know of it.

    With it come descriptors: of the memory, behind whose `size` the calls' names and words are
    kept; those that are to have the numbers `places`; and, for a program that comes with a
    `terminal`, our side of it.
    """

    prefix: str  # of the message of a failure
    size: int
    count: int
    places: list[int]
    terminal: bool = False
    master: int | None = None
    second: int = 0  # where the number of a second process is
    divides_last: bool = False
    score: int | None = None
    users: str = ""  # a new user namespace's ids
    groups: str = ""
    cgroup: str = ""


class Occupied(Exception):
    """Of the numbers agreed upon, one is in use."""


class Performer:
    """Performs what was prepared for processes with this stage."""

    def __init__(self) -> None:
        self.stage = Stage()
        self._stub = Stub()
        self._own: list[tuple[int, int]] = []

    @staticmethod
    def lowest(*, certainly: bool = False) -> int:
        """Return a number from which on none is in use: most probably, or certainly."""
        return max(map(int, os.listdir("/proc/self/fd"))) + ROOM if certainly else LOW

    def lighten(self) -> None:
        """Have nothing of our memory copied into new processes, which do not need it."""
        self._own = list(_written())
        self._advise(mmap.MADV_DONTFORK)

    def unburden(self) -> None:
        """Let copies of us have our memory again."""
        self._advise(mmap.MADV_DOFORK)

    def _advise(self, advice: int) -> None:
        for start, size in self._own:
            with suppress(OSError):  # it may be no more, or in part
                syscall("madvise", start, size, advice)

    def begin(
        self, what: Prepared, fds: Sequence[int], given: Mapping[str, int], low: int
    ) -> Underway:
        """Start the process. The descriptors stay the caller's, who keeps them until its end, but
        for a terminal in `fds`, which is the program's then.

        Those `given` have been told to who planned by name, in this order: their numbers, and
        that of the wire, are those from `low` on.
        """
        memory, *others = fds
        terminal = others.pop() if what.terminal else None
        with told_as(what.prefix), ExitStack() as undo:
            wire, theirs = socket.socketpair()
            undo.callback(wire.close)
            with theirs:
                mine = [*given.values(), theirs.fileno()]
                places = [*range(low, low + len(mine)), *what.places]
                with Placed([*mine, *others], places):
                    laid = Laid(
                        self.stage.show(memory, what.size),
                        self.stage.address,
                        what.count,
                        {talk.SECOND: what.second},
                    )
                    undo.callback(self.stage.clear)
                    launched = Launched(
                        lambda: (self._stub.clone(laid.base), laid),
                        _words(memory, what.size),
                        wire,
                        what.score,
                        master=what.master,
                        has_second=bool(what.second),
                        divides_last=what.divides_last,
                    )
            undo.pop_all()
        return Underway(launched, what, memory, self.stage, terminal)


class Underway:
    """A process that performs what was prepared, between its clone and its program."""

    def __init__(
        self, launched: Launched, what: Prepared, memory: int, stage: Stage, terminal: int | None
    ) -> None:
        self._launched = launched
        self._what = what
        self._memory = memory
        self._stage: Stage | None = stage
        self._terminal = terminal
        self._meetings = _meetings(what)

    @property
    def waits_for(self) -> list[int]:
        """The descriptors of which one becomes readable when it may go on."""
        return self._launched.waits_for

    @property
    def pid(self) -> int:
        """The process that counts, once there is one."""
        return self._launched.pid

    @property
    def patience(self) -> float:
        """How many seconds it may take to come further."""
        return self._launched.patience

    def told(self, failure: StartFailed) -> StartFailed:
        """Return a failure in the words for what was tried."""
        try:
            with told_as(self._what.prefix):
                raise failure
        except StartFailed as said:
            return said

    def advance(self) -> Init | None:
        """Go on as far as there is nothing to wait for; None before its program runs."""
        with self._until_failure():
            if self._launched.advance(self._meetings):
                return self._done()
            if self._stage and self._what.second and not self._launched.has_second:
                self._launched.move(self._elsewhere(self._stage.address))
                self._leave()
            return None

    def _elsewhere(self, base: int) -> Laid:
        """Show what is left to be performed, by one with a copy of it, off the stage."""
        seen = mmap.mmap(self._memory, self._what.size, prot=mmap.PROT_READ)
        return Laid(seen, base, self._what.count, {talk.SECOND: self._what.second})

    def abandon(self) -> None:
        """Kill the process; `StartFailed` is no more to come."""
        self._launched.abandon()
        self._leave()

    def _done(self) -> Init:
        launched = self._launched
        launched.close()
        self._leave()
        return Init(launched.pid, launched.pidfd, launched.master or self._terminal)

    @contextmanager
    def _until_failure(self) -> Iterator[None]:
        try:
            with told_as(self._what.prefix):
                yield
        except BaseException:
            self.abandon()
            raise

    def _leave(self) -> None:
        """Keep the stage free again."""
        if self._stage:
            self._stage.clear()
            self._stage = None


class Placed:
    """Has copies of descriptors under agreed numbers for the time of a block."""

    def __init__(self, fds: Sequence[int], places: Sequence[int]) -> None:
        self._fds = fds
        self._places = places

    def __enter__(self) -> None:
        done: list[int] = []
        try:
            for fd, place in zip(self._fds, self._places, strict=True):
                done.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, place))
                if done[-1] != place:
                    raise Occupied
        except BaseException:
            for fd in done:
                os.close(fd)
            raise

    def __exit__(self, *_: object) -> None:
        os.closerange(min(self._places), max(self._places) + 1)


def _written() -> Iterator[tuple[int, int]]:
    """Yield start and size of the memory that is ours alone and can be written."""
    with open("/proc/self/maps", "rb", buffering=0) as file:
        for line in file.readlines():
            span, rights, _ = line.split(b" ", 2)
            if rights == b"rw-p":
                start, end = (int(part, 16) for part in span.split(b"-"))
                yield start, end - start


def _words(memory: int, at: int) -> Callable[[int], tuple[str, str]]:
    def words(index: int) -> tuple[str, str]:
        end = os.fstat(memory).st_size
        return _TEXTS.decode(os.pread(memory, end - at, at))[index]

    return words


def _meetings(what: Prepared) -> Mapping[bytes, Meeting]:
    return {
        talk.MAPPED: lambda launched: mapping.write(launched.pid, what.users, what.groups),
        talk.TERMINAL: lambda launched: launched.take_master(),
    }
