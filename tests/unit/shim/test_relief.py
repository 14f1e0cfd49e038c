"""The loop goes on while somebody in it waits for a disk; a pipe plays the disk."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Callable
from functools import partial

import pytest

from boxship.shim.journal import open_journal
from boxship.shim.loop import Loop
from boxship.shim.protocol import Attachment, LogChoice
from boxship.shim.relief import Relief
from boxship.shim.streams import Streams

WITHIN = 60.0


class Turns:
    """A loop that others go on with, until it is told to end; in a thread of its own."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.loop = Loop(on_error=self.failures.append)
        self._ends = False
        self._ended = threading.Event()
        self._fds: list[int] = []
        self._relief = Relief(self.loop, lambda: not self._ends, self._in_thread)
        self._todo: list[Callable[[], None]] = []
        reading, self._knock = self.pipe()

        def on_knock(_events: int) -> None:
            os.read(reading, 1)
            self._todo.pop(0)()

        self.loop.watch(reading, on_knock)

    def _in_thread(self, work: Callable[[], None]) -> None:
        work()
        self._ended.set()

    def pipe(self) -> tuple[int, int]:
        made = os.pipe()
        self._fds += made
        return made

    def keep(self, fd: int) -> None:
        """Close a descriptor when all is over."""
        self._fds.append(fd)

    def begin(self) -> None:
        threading.Thread(target=self._in_thread, args=(self._relief.lead,), daemon=True).start()

    def do(self, what: Callable[[], None]) -> None:
        """Have something done in the loop, and wait for it."""
        done = threading.Event()

        def callback() -> None:
            what()
            done.set()

        self.later(callback)
        assert done.wait(WITHIN)

    def later(self, callback: Callable[[], None]) -> None:
        """Have something done in the loop."""
        self._todo.append(callback)
        os.write(self._knock, b".")

    def end(self) -> None:
        def ends() -> None:
            self._ends = True

        self.later(ends)
        assert self._ended.wait(WITHIN)
        for fd in self._fds:
            os.close(fd)
        assert not self.failures


@pytest.fixture
def turns():
    made = Turns()
    yield made
    made.end()


def test_others_go_on_and_who_was_away_comes_back_where_it_was(turns):
    said: list[str] = []
    back = threading.Event()
    hanging, releases = turns.pipe()

    def hang() -> None:
        said.append("goes")
        turns.loop.aside(partial(os.read, hanging, 1), lambda: said.append("is relieved"))
        said.append("is back")
        back.set()

    turns.begin()
    turns.later(hang)
    turns.do(lambda: said.append("another"))
    os.write(releases, b".")
    assert back.wait(WITHIN)
    turns.do(lambda: said.append("all"))
    assert said == ["goes", "is relieved", "another", "is back", "all"]


def test_many_hang_and_return_in_any_order_but_only_one_has_the_loop(turns):
    disks = [turns.pipe() for _ in range(5)]
    inside: list[int] = []
    came: list[int] = []
    back = [threading.Event() for _ in disks]

    def hang(number: int) -> None:
        for _ in range(2):
            turns.loop.aside(partial(os.read, disks[number][0], 1))
            inside.append(number)
            assert inside == [number]
            came.append(number)
            inside.remove(number)
        back[number].set()

    turns.begin()
    for number in range(5):
        turns.later(partial(hang, number))
        turns.do(lambda: None)
    for number in (3, 0, 4, 1, 2):
        os.write(disks[number][1], b"..")
        assert back[number].wait(WITHIN)
        turns.do(lambda: None)
    assert came == [3, 3, 0, 0, 4, 4, 1, 1, 2, 2]


def test_a_log_that_hangs_keeps_its_order_and_holds_nobody_up(turns, tmp_path):
    os.mkfifo(tmp_path / "log")
    disk = os.open(tmp_path / "log", os.O_RDWR)
    fcntl.fcntl(disk, fcntl.F_SETPIPE_SZ, 4096)
    turns.keep(disk)
    choice = LogChoice(driver="local", path=str(tmp_path / "log"))
    stuck = Streams(turns.loop, open_journal(choice), lambda _: None, raw=False)
    free = Streams(turns.loop, None, lambda _: None, raw=False)
    ours, theirs = socket.socketpair()
    ours.settimeout(WITHIN)
    programs = [(os.pipe(), os.pipe()) for _ in range(2)]
    free.attach(Attachment(stdout=True), theirs)
    for streams, ((out, _), (err, _)) in zip((stuck, free), programs, strict=True):
        streams.use_pipes(None, out, err, once=True)
    wrote = b"".join(b"%05d\n" % number for number in range(3000))
    turns.begin()
    (_, stdout), (_, stderr) = programs[0]
    os.write(stdout, wrote)
    for line in (b"one", b"two"):
        os.write(programs[1][0][1], line)
        assert ours.recv(100) == line

    ended = threading.Event()

    def end() -> None:
        os.close(stdout)
        os.close(stderr)
        stuck.drain()
        stuck.log.finish()
        stuck.end()
        ended.set()

    turns.later(end)
    os.write(programs[1][0][1], b"three")
    assert ours.recv(100) == b"three"
    assert not ended.is_set()
    came = b""
    while b"02999" not in came:
        came += os.read(disk, 65536)
    assert ended.wait(WITHIN)
    assert [int(line) for line in _texts(came)] == list(range(3000))
    turns.do(free.end)
    ours.close()
    for writing in programs[1]:
        os.close(writing[1])


def _texts(log: bytes) -> list[bytes]:
    from boxship.wire import locallog

    entries, rest = locallog.decode(log)
    assert rest == len(log)
    return [entry.line for entry in entries]
