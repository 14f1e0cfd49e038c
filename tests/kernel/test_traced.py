"""Children that somebody traces: wait(2) does not tell of their end before the tracer does."""

from __future__ import annotations

import ctypes
import os
import signal

import pytest

from boxship.kernel import processes

pytestmark = pytest.mark.root
ATTACH = 16
CODE = 7


def forked(action) -> int:  # type: ignore[no-untyped-def]
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(CODE)
    return pid


def trace(victim: int, tells: int) -> None:
    libc = ctypes.CDLL(None)
    assert libc.ptrace(ATTACH, victim, 0, 0) == 0
    os.waitpid(victim, processes.ANY_CHILD)
    os.write(tells, b"!")
    while True:
        signal.pause()


def test_the_end_of_a_traced_child_is_seen_and_how_it_was() -> None:
    child = forked(signal.pause)
    pidfd = processes.open_pidfd(child)
    heard, tells = os.pipe()
    tracer = forked(lambda: trace(child, tells))
    try:
        assert os.read(heard, 1) == b"!"
        assert processes.take_end(child, pidfd) is None
        assert not processes.has_ended(pidfd)
        assert processes.send_signal(pidfd, signal.SIGKILL)
        assert processes.has_ended(pidfd, 30)
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        status = processes.take_end(child, pidfd)
        assert status is not None
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    finally:
        os.kill(tracer, signal.SIGKILL)
        os.waitpid(tracer, 0)
        for fd in (heard, tells):
            os.close(fd)
    assert os.waitpid(child, 0) == (child, signal.SIGKILL)
    os.close(pidfd)


def test_the_end_of_a_child_is_taken_as_it_was() -> None:
    child = forked(lambda: None)
    pidfd = processes.open_pidfd(child)
    assert processes.has_ended(pidfd, 30)
    status = processes.take_end(child, pidfd)
    assert status is not None
    assert os.waitstatus_to_exitcode(status) == CODE
    assert processes.take_end(child, pidfd) is None
    os.close(pidfd)
