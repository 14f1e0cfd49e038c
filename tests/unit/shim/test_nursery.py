"""The spawner's side of shims: which of them gets the next container."""

from __future__ import annotations

import os
import socket

import pytest

from boxship.shim import fdsocket, protocol
from boxship.shim.spawner import CROWD, Nursery, Shim


class Pretending(Nursery):
    """Has shims that are the test's own ends of sockets."""

    def __init__(self):
        super().__init__(None, None, None)
        self.made = []

    def fork(self):
        ours, theirs = socket.socketpair()
        shim = self.shims[ours.fileno()] = Shim(ours)
        self.made.append((shim, theirs))
        return shim


@pytest.fixture
def nursery():
    made = Pretending()
    yield made
    for shim, theirs in made.made:
        shim.sock.close()
        theirs.close()


def ask(nursery, *, alone=False):
    """Ask for a container to be kept; return the number of the shim that was given it."""
    before = [shim.load for shim, _ in nursery.made]
    spawn = protocol.Spawn(number=0, container="c", folder="/f", alone=alone)
    body = protocol.encode(spawn)[protocol.HEADER.size :]
    nursery.hand_over(protocol.Envelope(body, [os.open("/dev/null", os.O_RDONLY)]))
    before += [0] * (len(nursery.made) - len(before))
    (taker,) = [
        number for number, (shim, _) in enumerate(nursery.made) if shim.load > before[number]
    ]
    _, fds = fdsocket.receive(nursery.made[taker][1])
    fdsocket.close_all(fds)
    return taker


def end_one(nursery, number):
    shim, theirs = nursery.made[number]
    theirs.send(b"-")
    nursery.hear(shim.sock.fileno())


def test_a_shim_is_filled_before_there_is_another(nursery):
    assert {ask(nursery) for _ in range(CROWD)} == {0}
    assert nursery.patience() is not None
    assert ask(nursery) == 1
    end_one(nursery, 0)
    assert ask(nursery) == 0
    assert ask(nursery) == 1


def test_one_that_is_to_be_alone_has_a_shim_that_takes_no_more(nursery):
    assert ask(nursery) == 0
    assert ask(nursery, alone=True) == 1
    assert [ask(nursery) for _ in range(3)] == [0, 0, 0]


def test_a_shim_that_takes_no_more_is_followed_by_another(nursery):
    assert ask(nursery) == 0
    shim, theirs = nursery.made[0]
    theirs.shutdown(socket.SHUT_WR)
    nursery.hear(shim.sock.fileno())
    assert ask(nursery) == 1


def test_a_dead_shim_is_passed_over(nursery):
    assert ask(nursery) == 0
    nursery.made[0][1].close()
    assert ask(nursery) == 1


def test_an_empty_shim_goes_when_another_has_room(nursery):
    for _ in range(CROWD + 1):
        ask(nursery)
    end_one(nursery, 0)
    end_one(nursery, 1)
    assert nursery.patience() is not None
    nursery.adjust()
    assert len(nursery.shims) == 1
    assert ask(nursery) == 0
