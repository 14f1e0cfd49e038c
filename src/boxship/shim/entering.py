"""Execs on their way to their programs.

What is in the container already may hold up what comes into it: by tracing it, by using up the
time that its group has, by being frozen. The keeper waits for none of that. It goes on serving,
is told by descriptors when an exec can go a step further, and ends one that takes too long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from socket import socket
from time import monotonic
from typing import Final

from boxship.runtime.errors import StartFailed
from boxship.runtime.launch import SEEN_BY_OTHERS, HeldUp
from boxship.runtime.telling import EXECUTING, told_as
from boxship.shim.container import Pipes, Program
from boxship.shim.launching import Beginning
from boxship.shim.loop import Loop
from boxship.shim.protocol import Attachment
from boxship.shim.streams import Streams

OFTEN: Final = 1.0  # seconds between looks at what takes too long


class Entering:
    """One exec between its clone and its program."""

    def __init__(
        self,
        begun: Beginning,
        pipes: Pipes,
        streams: Streams,
        clients: list[tuple[Attachment, socket]],
        loop: Loop,
    ) -> None:
        self._begun = begun
        self._pipes = pipes
        self._streams = streams
        self._clients = clients
        self._loop = loop

    @property
    def waits_for(self) -> list[int]:
        """The descriptors of which one becomes readable when it may go on."""
        return self._begun.waits_for

    def advance(self) -> Program | None:
        """Return the program once it runs; StartFailed when it never will."""
        try:
            init = self._begun.advance()
            if init is None:
                return None
            program = Program(init, self._streams, self._loop)
            self._pipes.give(self._streams, init.terminal, once=True)
        except BaseException:
            self._end()
            raise
        for attachment, sock in self._clients:
            self._streams.attach(attachment, sock)
        return program

    def abandon(self) -> None:
        """Kill it; nothing of it stays."""
        self._begun.abandon()
        self._end()

    def _end(self) -> None:
        self._pipes.close()
        close_clients(self._clients)


def close_clients(clients: list[tuple[Attachment, socket]]) -> None:
    """Let go of those who would have attached."""
    for _, sock in clients:
        sock.close()


Begin = Callable[[], Entering]
Tell = Callable[[Program | Exception], None]


class Entries:
    """All execs of a container that are on their way, and those that wait for their turn."""

    def __init__(
        self, loop: Loop, is_busy: Callable[[], bool], on_quiet: Callable[[], None]
    ) -> None:
        """`is_busy` says whether the next has to wait for one that has begun; `on_quiet` is
        called when none is on its way any more.
        """
        self._loop = loop
        self._is_busy = is_busy
        self._on_quiet = on_quiet
        self._going: dict[str, tuple[Entering, Tell, float]] = {}
        self._queue: deque[tuple[str, Begin, Tell, float]] = deque()
        self._looks = False

    def __contains__(self, name: str) -> bool:
        return name in self._going or any(name == queued[0] for queued in self._queue)

    def __len__(self) -> int:
        return len(self._going) + len(self._queue)

    @property
    def are_going(self) -> bool:
        """Whether there may be children of ours of which nobody has told us yet."""
        return bool(self._going)

    def add(self, name: str, begin: Begin, tell: Tell) -> None:
        """Begin an exec when it is its turn, and tell once what became of it."""
        self._queue.append((name, begin, tell, monotonic()))
        if not self._looks:
            self._looks = True
            self._loop.after(OFTEN, self._look)
        self._begin_next()

    def _begin_next(self) -> None:
        while self._queue and not self._is_busy():
            name, begin, tell, since = self._queue.popleft()
            try:
                entering = begin()
            except Exception as failure:
                tell(failure)
                continue
            self._going[name] = entering, tell, since
            self._go_on(name)

    def _go_on(self, name: str) -> None:
        """Take an exec a step further."""
        entering, tell, _ = self._going[name]
        self._forget(entering)
        try:
            program = entering.advance()
        except Exception as failure:
            del self._going[name]
            tell(failure)
        else:
            if program is None:
                for fd in entering.waits_for:
                    self._loop.watch(fd, lambda _events: self._step(name, entering))
                return
            del self._going[name]
            tell(program)
        if not self._going:
            self._on_quiet()

    def _step(self, name: str, entering: Entering) -> None:
        if name in self._going and self._going[name][0] is entering:
            self._go_on(name)
        self._begin_next()

    def _forget(self, entering: Entering) -> None:
        for fd in entering.waits_for:
            self._loop.forget(fd)

    def _look(self) -> None:
        """End what takes too long."""
        late = monotonic() - SEEN_BY_OTHERS
        for name, (_, _, since) in list(self._going.items()):
            if since < late:
                self._give_up(name, _held_up())
                if not self._going:
                    self._on_quiet()
        while self._queue and self._queue[0][3] < late:
            self._queue.popleft()[2](_held_up())
        self._begin_next()
        self._looks = bool(self)
        if self._looks:
            self._loop.after(OFTEN, self._look)

    def _give_up(self, name: str, why: Exception) -> None:
        entering, tell, _ = self._going.pop(name)
        self._forget(entering)
        entering.abandon()
        tell(why)

    def give_up_all(self, why: Exception) -> None:
        """End all: the container has ended."""
        queued, self._queue = self._queue, deque()
        for name in list(self._going):
            self._give_up(name, why)
        for _, _, tell, _ in queued:
            tell(why)


def _held_up() -> StartFailed:
    try:
        with told_as(EXECUTING):
            raise HeldUp(SEEN_BY_OTHERS)
    except StartFailed as failure:
        return failure
