"""Execs on their way to their programs, and what each has until then.

What is in the container already may hold up what comes into it: by tracing it, by using up the
time that its group has, by being frozen. The keeper waits for none of that: it goes on serving,
and its starters end one that takes too long.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import socket

from boxship.shim.container import Pipes, Program
from boxship.shim.protocol import Attachment
from boxship.shim.starters import Made, OnMade, Starters, Ticket
from boxship.shim.streams import Streams


class Entering:
    """One exec between the decision to start it and its program."""

    def __init__(self, streams: Streams, clients: list[tuple[Attachment, socket]]) -> None:
        self.streams = streams
        self.pipes: Pipes | None = None
        self.ticket: Ticket | None = None
        self._clients = clients

    def arrive(self, made: Made) -> Program | Exception:
        """Return the program, its streams begun and its clients attached, or why there is none."""
        if isinstance(made, Exception):
            self.end()
            return made
        assert self.pipes
        program = Program(made, self.streams)
        self.pipes.give(self.streams, made.terminal, once=True)
        for attachment, sock in self._clients:
            self.streams.attach(attachment, sock)
        return program

    def end(self) -> None:
        """Nothing of it stays."""
        if self.pipes:
            self.pipes.close()
        close_clients(self._clients)


def close_clients(clients: list[tuple[Attachment, socket]]) -> None:
    """Let go of those who would have attached."""
    for _, sock in clients:
        sock.close()


Begin = Callable[[Entering, OnMade], None]
Tell = Callable[[Program | Exception], None]


class Entries:
    """All execs of a container that are on their way."""

    def __init__(self, starters: Starters) -> None:
        self._starters = starters
        self._going: dict[str, tuple[Entering, Tell]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._going

    def __len__(self) -> int:
        return len(self._going)

    def add(self, name: str, entering: Entering, begin: Begin, tell: Tell) -> None:
        """Begin an exec, and tell once what became of it."""

        def arrived(made: Made) -> None:
            del self._going[name]
            tell(entering.arrive(made))

        self._going[name] = entering, tell
        try:
            begin(entering, arrived)
        except Exception as failure:
            if name in self._going:
                arrived(failure)

    def give_up_all(self, why: Exception) -> None:
        """End all: the container has ended."""
        going, self._going = self._going, {}
        for entering, tell in going.values():
            if entering.ticket:
                self._starters.give_up(entering.ticket)
            entering.end()
            tell(why)
