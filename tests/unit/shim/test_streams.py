"""The end of a process's streams."""

from __future__ import annotations

import os
import socket

from boxship.shim.loop import Loop
from boxship.shim.protocol import Attachment
from boxship.shim.streams import Streams


def fail(failure: Exception) -> None:
    raise failure


def test_clients_leave_with_the_last_output_when_the_program_has_ended():
    loop = Loop(on_error=fail)
    streams = Streams(loop, None, lambda _: None, raw=False)
    (out, stdout), (err, stderr) = os.pipe(), os.pipe()
    mine, theirs = socket.socketpair()
    mine.setblocking(False)
    streams.attach(Attachment(stdout=True, stderr=True), theirs)
    streams.use_pipes(None, out, err, once=True)
    held = os.dup(stdout)  # by a child that the program left
    os.close(stdout)
    os.close(stderr)
    loop.turn()
    streams.end_with_output()
    assert streams.clients
    os.write(held, b"late")
    os.close(held)
    while streams.clients:
        loop.turn()
    assert mine.recv(100) == b"late"
    assert mine.recv(100) == b""
    mine.close()


def test_where_all_output_has_come_they_leave_at_once():
    loop = Loop(on_error=fail)
    streams = Streams(loop, None, lambda _: None, raw=False)
    (out, stdout), (err, stderr) = os.pipe(), os.pipe()
    mine, theirs = socket.socketpair()
    streams.attach(Attachment(stdout=True), theirs)
    streams.use_pipes(None, out, err, once=True)
    os.close(stdout)
    os.close(stderr)
    streams.drain()
    streams.end_with_output()
    assert not streams.clients
    assert mine.recv(10) == b""
    mine.close()
