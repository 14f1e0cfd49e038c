"""The caller's terminal or pipes joined to a program in a container, until its output ends.

One loop waits for the keyboard, the engine and signals together. What the program prints goes out
as it comes; what is typed waits when the engine is slow, so that neither side blocks the other.
"""

from __future__ import annotations

import posix
import select
import time

from boxship.cli.output import write_all
from boxship.cli.signals import DEADLY, NAMES, WINCH, Signals, proxied
from boxship.cli.terminal import Detached, KeyWatch, RawMode, size
from boxship.client.frames import FAILURE, STDERR, Frames
from boxship.errors import BoxshipError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from boxship.client.engine import Stream

CHUNK = 64 * 1024
RECEIVE = 256 * 1024
MOST_WAITING = 256 * 1024
SHUT_WR = 1
MSG_DONTWAIT = 0x40
RESIZE_TRIES = 10
RESIZE_PAUSE = 0.01
PATIENCE = 3


class Session:
    """What is joined, and how.

    `resize` is called with height and width, `kill` with a signal's name. `begin` runs once the
    streams are open and before anything is copied: it starts the program.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        tty: bool,
        stdin: bool,
        stdout: bool = True,
        stderr: bool = True,
        keys: bytes = b"",
        resize: Callable[[int, int], object] | None = None,
        kill: Callable[[str], object] | None = None,
        begin: Callable[[], object] | None = None,
    ) -> None:
        self._stream = stream
        self._tty = tty
        self._stdin = stdin
        self._wanted = {1: stdout, 2: stderr}
        self._watch = KeyWatch(keys if tty else b"")
        self._resize = resize if tty else None
        self._kill = kill
        self._begin = begin
        self._frames = None if tty else Frames()
        self._waiting = bytearray()
        self._input_over = not stdin
        self._closed = False
        self._insistence = 0

    def run(self) -> None:
        """Copy until the program's output ends; Detached when the detach keys are pressed."""
        raw = RawMode(0, self._tty and self._stdin)
        caught = proxied(self._kill is not None, self._resize is not None)
        with Signals(caught) as signals, raw:
            if self._begin is not None:
                self._begin()
            if self._resize is not None:
                self._fit_window(RESIZE_TRIES)
            if self._stream.pending:
                self._show(self._stream.pending)
            if self._wanted[1] or self._wanted[2] or self._stdin:
                self._copy(signals)

    def _copy(self, signals: Signals) -> None:
        socket = self._stream.socket.fileno()
        poll = select.poll()
        poll.register(socket, select.POLLIN)
        if signals.descriptor >= 0:
            poll.register(signals.descriptor, select.POLLIN)
        reading = False
        while True:
            wants = not self._input_over and len(self._waiting) < MOST_WAITING
            if wants != reading:
                if wants:
                    poll.register(0, select.POLLIN)
                else:
                    poll.unregister(0)
                reading = wants
            poll.modify(socket, select.POLLIN | (select.POLLOUT if self._waiting else 0))
            for descriptor, event in poll.poll():
                if descriptor == signals.descriptor:
                    self._signals(signals.take())
                elif descriptor == 0:
                    self._read_input()
                else:
                    if event & select.POLLOUT:
                        self._send_waiting()
                    if event & ~select.POLLOUT and not self._read_output():
                        return
            if self._input_only():
                return

    def _input_only(self) -> bool:
        """Tell whether nothing but input was attached and all of it has been handed over."""
        return self._closed and not (self._wanted[1] or self._wanted[2])

    def _read_input(self) -> None:
        try:
            data = posix.read(0, CHUNK)
        except OSError:  # the terminal has gone
            data = b""
        if not data:
            self._input_over = True
        data, over = self._watch.feed(data)
        self._waiting += data
        self._send_waiting()
        if over:
            raise Detached

    def _send_waiting(self) -> None:
        send = getattr(self._stream.socket, "send")  # noqa: B009
        while self._waiting:
            try:
                sent = send(self._waiting, MSG_DONTWAIT)
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self._waiting.clear()
                self._input_over = True
                return
            del self._waiting[:sent]
        if self._input_over and not self._closed:
            self._closed = True
            try:
                self._stream.socket.shutdown(SHUT_WR)
            except OSError:
                pass

    def _read_output(self) -> bool:
        try:
            data = self._stream.socket.recv(RECEIVE)
        except ConnectionResetError:
            return False
        if data:
            self._show(data)
        return bool(data)

    def _show(self, data: bytes) -> None:
        if self._frames is None:
            if self._wanted[1]:
                write_all(1, data)
            return
        for stream, part in self._frames.feed(data):
            if stream == FAILURE:
                text = part.decode("utf-8", "replace").strip()
                raise BoxshipError(f"error from daemon in stream: {text}")
            target = 2 if stream == STDERR else 1
            if self._wanted[target]:
                write_all(target, part)

    def _signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number == WINCH:
                self._fit_window(1)
                continue
            if number in DEADLY:
                self._insistence += 1
                if self._insistence >= PATIENCE:
                    raise BoxshipError("got 3 SIGTERM/SIGINTs, forcefully exiting")
            if self._kill is not None:
                try:
                    self._kill(NAMES[number])
                except BoxshipError:
                    pass  # it has ended meanwhile, which its output will tell

    def _fit_window(self, tries: int) -> None:
        """Give the program our window's size; it may need a moment until it has a terminal."""
        height, width = size(1)
        if self._resize is None or not (height or width):
            return
        for left in reversed(range(tries)):
            try:
                self._resize(height, width)
                return
            except BoxshipError:
                if left:
                    time.sleep(RESIZE_PAUSE)
