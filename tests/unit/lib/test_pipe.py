"""Bytes between threads: bounded, in order, and each end notices the other's."""

import threading

import pytest

from boxship.lib.pipe import Abandoned, Pipe


def test_what_is_put_is_read_in_order_and_bounded():
    pipe = Pipe(room=10)
    most = []

    def write():
        for number in range(200):
            pipe.put(b"%03d" % number)
            most.append(pipe._held)
        pipe.end()

    writer = threading.Thread(target=write)
    writer.start()
    assert b"".join(pipe) == b"".join(b"%03d" % n for n in range(200))
    writer.join()
    assert max(most) <= 12


def test_the_writers_failure_reaches_the_reader():
    pipe = Pipe()
    pipe.put(b"x")
    pipe.end(ConnectionResetError("gone"))
    with pytest.raises(ConnectionResetError, match="gone"):
        list(pipe)


def test_a_reader_that_leaves_frees_the_writer():
    pipe = Pipe(room=1)
    reading = iter(pipe)
    pipe.put(b"x")
    next(reading)
    reading.close()
    with pytest.raises(Abandoned):
        pipe.put(b"y")
