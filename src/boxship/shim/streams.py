"""The streams of one process: output to the log and to clients, input from clients.

A client that does not take its output holds the program up, as a full pipe would; the log never
waits for a client longer than that, and what a client is owed is at most one read. Nothing here
blocks: all descriptors but the program's own ends are non-blocking.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from select import POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT
from time import monotonic, sleep
from typing import Final

from boxship.shim.clients import Client
from boxship.shim.input import Input
from boxship.shim.journal import Journal
from boxship.shim.log import Log
from boxship.shim.loop import Loop
from boxship.shim.pipes import SMALL, SPLICE, WIDE, readable, widen
from boxship.shim.protocol import Attachment
from boxship.wire import multiplex

CHUNK: Final = 256 << 10  # the most that is read at once
TYPED: Final = 16 << 10  # the most that is read from a keyboard at once
OFTEN: Final = 0.001  # seconds between reads, in a stream that does not pause
PAUSE: Final = 0.0001
GONE: Final = POLLHUP | POLLERR | POLLNVAL


class Output:
    """What comes from the program on one descriptor: a pipe, or its terminal's master side."""

    def __init__(self, streams: Streams, fd: int, stream: int, *, terminal: bool) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.stream = stream
        self.remaining = 0  # of a frame whose header a client has already
        self._streams = streams
        self._terminal = terminal
        self._size = SMALL
        self._moved = 0  # bytes, up to where it is known to be much
        self._last = 0.0  # when there was something to read
        self.is_open = True

    def on_readable(self, _events: int) -> None:
        if self._streams.log.is_busy:
            return
        if self._moved >= WIDE:
            self._gather()
        client = self._only_client()
        if client is None:
            self.read()
        else:
            self.splice(client)
        self._streams.settle()

    def _only_client(self) -> Client | None:
        """Return the client to which bytes can go without coming through here, if so."""
        streams = self._streams
        if streams.log or self._terminal or len(streams.clients) != 1:
            return None
        client = streams.clients[0]
        return client if client.wants[self.stream] and not client.is_busy else None

    def read(self) -> bool:
        """Read once and pass it on; False when there is nothing now or ever."""
        try:
            data = os.read(self.fd, self._size)
        except BlockingIOError:
            return False
        except OSError:  # a terminal whose last user has gone answers EIO
            data = b""
        if not data:
            self.close()
            return False
        self._count(len(data))
        self._streams.deliver(self.stream, data)
        return True

    def splice(self, client: Client) -> None:
        """Move what is in the pipe to the client's socket, without reading it."""
        if not self.remaining:
            size = readable(self.fd)
            if not size:
                self.read()  # the end, or nothing
                return
            self._count(size)
            self.remaining = size
            if client.frames:
                client.backlog.append(multiplex.header(self.stream, size))
        client.owed = self
        try:
            client.flush()
            while self.remaining and not client.backlog:
                self.remaining -= os.splice(self.fd, client.fd, self.remaining, flags=SPLICE)
        except BlockingIOError:
            return
        except OSError:
            self._streams.drop(client)
            return
        if not self.remaining:
            client.owed = None

    def _count(self, size: int) -> None:
        """Note what was read; make the pipe wide for a program that writes much."""
        if self._moved < WIDE:
            self._moved += size
            if self._moved >= WIDE and not self._terminal:
                self._size = CHUNK
                widen(self.fd)

    def _gather(self) -> None:
        """Let a program that writes much in small pieces write some of them before we read.

        Without this each of its writes would cost a turn of ours, and half the speed.
        """
        now = monotonic()
        if now - self._last < OFTEN and readable(self.fd) < SMALL:
            sleep(PAUSE)
            now = monotonic()
        self._last = now

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._streams.loop.forget(self.fd)
            if not self._terminal:
                os.close(self.fd)
            self._streams.output_ended()


class Streams:
    """All streams of one process, with its clients."""

    def __init__(
        self,
        loop: Loop,
        journal: Journal | None,
        on_detach: Callable[[bool], None],
        *,
        raw: bool,
    ) -> None:
        """`raw` streams are those of a terminal: one, with detach keys."""
        self._raw = raw
        self.loop = loop
        self.log = Log(loop, journal, on_delay=self.settle)
        self.clients: list[Client] = []
        self.outputs: list[Output] = []
        self.input: Input | None = None
        self._terminal: int | None = None
        self._on_detach = on_detach
        self._ended = False
        self._ends_with_output = False
        self._full = False  # the program's input takes nothing now

    # -- what the program has

    def use_pipes(self, stdin: int | None, stdout: int, stderr: int, *, once: bool) -> None:
        """Take our ends of the program's pipes."""
        if stdin is not None:
            self.input = Input(self, stdin, terminal=False, once=once)
        self.outputs = [
            Output(self, stdout, 1, terminal=False),
            Output(self, stderr, 2, terminal=False),
        ]
        self._begin()

    def use_terminal(self, master: int, *, takes_input: bool) -> None:
        """Take the master side of the program's terminal."""
        self._terminal = master
        if takes_input:
            self.input = Input(self, master, terminal=True, once=False)
        self.outputs = [Output(self, master, 1, terminal=True)]
        self._begin()

    def _begin(self) -> None:
        for client in list(self.clients):
            self._take_pending(client)
        self.settle()

    @property
    def terminal(self) -> int | None:
        """The terminal's master side, where there is one."""
        return self._terminal

    @property
    def has_output(self) -> bool:
        """Whether somebody may still write."""
        return any(output.is_open for output in self.outputs)

    @property
    def is_drained(self) -> bool:
        """Whether all output has come, and all clients have got theirs."""
        return not self.has_output and not self.clients

    # -- clients

    def attach(self, attachment: Attachment, sock: socket.socket) -> None:
        """Let a client join; from now on it gets what the program writes."""
        client = Client(sock, attachment, raw=self._raw)
        self.clients.append(client)
        if self._ended:
            client.leaving = True
        elif self.outputs:
            self._take_pending(client)
        self.settle()

    def _take_pending(self, client: Client) -> None:
        pending, client.unread_input = client.unread_input, b""
        if self.input is None:
            client.sends_input = False
        elif pending and client.sends_input and self.input.is_open:
            self._type(client, pending)

    def drop(self, client: Client, *, by_keys: bool = False) -> None:
        """Let a client go at once."""
        if client not in self.clients:
            return
        self.clients.remove(client)
        if client.owed:
            # Bytes promised to it are still in the pipe and are output like any other.
            client.owed.remaining = 0
        self.loop.forget(client.fd)
        client.sock.close()
        if client.sends_input:
            self._input_ended(client)
        self._on_detach(by_keys)

    def drop_all(self) -> None:
        """Let all clients go at once."""
        for client in list(self.clients):
            self.drop(client)

    def leave(self, client: Client) -> None:
        """Let a client go when it has got what it is owed."""
        client.leaving = True

    # -- output

    def deliver(self, stream: int, data: bytes) -> None:
        """Log output and pass it to whoever wants it."""
        if self.log:
            self.log.write(stream, data)
        for client in list(self.clients):
            if client.wants[stream] and not client.leaving:
                try:
                    client.send(stream, data)
                except OSError:
                    self.drop(client)

    def drain(self) -> None:
        """Read all that the program has written; it has ended, so that is bounded."""
        self.log.wait()
        for output in self.outputs:
            if output.remaining:
                # A frame for this much was begun: its client gets it from here instead.
                self._finish_frame(output)
            while output.is_open and output.read():
                pass

    def _finish_frame(self, output: Output) -> None:
        for client in self.clients:
            if client.owed is output:
                client.owed = None
                while output.remaining and (data := os.read(output.fd, output.remaining)):
                    client.backlog.append(data)
                    output.remaining -= len(data)
        output.remaining = 0

    def end_with_output(self) -> None:
        """The program has ended; others may still have its output open."""
        self._ends_with_output = True
        self.output_ended()

    def output_ended(self) -> None:
        """Come to the end where all output has."""
        if self._ends_with_output and not self._ended and not self.has_output:
            self.end()

    def end(self) -> None:
        """Stop reading: the program has ended. Clients leave when they have got everything."""
        self._ended = True
        for output in self.outputs:
            output.close()
        if self.input:
            self.input.close()
            self.input = None
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None
        for client in self.clients:
            client.leaving = True
        self.settle()

    # -- input

    def _on_client(self, client: Client, events: int) -> None:
        try:
            if events & POLLOUT:
                self._resume(client)
            if events & POLLIN and client.sends_input:
                self._read_input(client)
            elif events & GONE:
                self.drop(client)
        except OSError:
            self.drop(client)
        self.settle()

    def _resume(self, client: Client) -> None:
        if client.owed:
            client.owed.splice(client)
        else:
            client.flush()

    def _read_input(self, client: Client) -> None:
        way = self.input
        if way is None or not way.is_open:
            return
        if way.terminal:
            if typed := client.sock.recv(TYPED):
                self._type(client, typed)
            else:
                way.write(client.keys.rest())
                self._stop_input(client)
            return
        try:
            moved = way.splice_from(client)
        except BrokenPipeError:
            way.close()
            return
        if moved is None:
            self._full = True  # poll said that the client has input, so it is the pipe
        elif not moved:
            self._stop_input(client)

    def _type(self, client: Client, text: bytes) -> None:
        """Pass on what was typed, up to the detach keys."""
        assert self.input
        typed = client.keys.feed(text)
        self.input.write(typed.text)
        if typed.detached:
            self.drop(client, by_keys=True)

    def _stop_input(self, client: Client) -> None:
        """A client said that it sends no more.

        Where that does not end the program's input, the client has nothing left to do here.
        """
        client.sends_input = False
        if self.input and self.input.ends_with_client:
            self.input.finish()
        else:
            self.leave(client)

    def _input_ended(self, client: Client) -> None:
        client.sends_input = False
        if self.input and self.input.is_open and self.input.ends_with_client:
            self.input.finish()

    def _on_input_writable(self, _events: int) -> None:
        assert self.input
        self._full = False
        self.input.flush()
        self.settle()

    def _on_terminal(self, events: int) -> None:
        if events & POLLOUT and self.input:
            self.input.flush()
        if events & ~POLLOUT and self.outputs[0].is_open:
            self.outputs[0].on_readable(events)
        self.settle()

    # -- who is waited for

    def settle(self) -> None:
        """Ask the loop for exactly what can be acted on now."""
        for client in list(self.clients):
            if client.leaving and not client.is_busy:
                self.drop(client)
        self._watch_outputs()
        if self.input and self.input.is_open and not self.input.terminal:
            self._watch_input(self.input)
        for client in self.clients:
            self._watch_client(client)

    def _watch_outputs(self) -> None:
        for output in self.outputs:
            if not output.is_open:
                continue
            held = self.log.is_busy or any(
                client.is_busy and client.wants[output.stream] for client in self.clients
            )
            if self._terminal is not None:
                typing = self.input is not None and self.input.is_busy
                self._watch_terminal(output.fd, reading=not held, writing=typing)
            elif held:
                self.loop.forget(output.fd)
            else:
                self.loop.watch(output.fd, output.on_readable)

    def _watch_terminal(self, fd: int, *, reading: bool, writing: bool) -> None:
        events = (POLLIN if reading else 0) | (POLLOUT if writing else 0)
        if events:
            self.loop.watch(fd, self._on_terminal, events)
        else:
            self.loop.forget(fd)

    def _watch_input(self, way: Input) -> None:
        if way.is_busy or self._full:
            self.loop.watch(way.fd, self._on_input_writable, POLLOUT)
        else:
            self.loop.watch(way.fd, self._on_input_closed, 0)

    def _on_input_closed(self, _events: int) -> None:
        """The program closed its input: it is told nothing more."""
        if self.input:
            self.input.close()
        self.settle()

    def _watch_client(self, client: Client) -> None:
        events = POLLOUT if client.is_busy else 0
        if client.sends_input and not client.leaving and self._wants_input():
            events |= POLLIN
        if events != client.watched:
            client.watched = events
            self.loop.watch(client.fd, partial(self._on_client, client), events)

    def _wants_input(self) -> bool:
        way = self.input
        return way is not None and way.is_open and not way.is_busy and not self._full
