"""Pieces that a thread of their own takes."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from boxship.lib.beside import Beside, Helper, gathered


def test_pieces_are_taken_in_order_by_another_thread() -> None:
    taken: list[bytes] = []
    who: set[threading.Thread] = set()

    def take(piece: bytes) -> None:
        who.add(threading.current_thread())
        taken.append(piece)

    with Beside(take, room=2) as beside:
        for number in range(100):
            beside.put(b"%d" % number)
    assert taken == [b"%d" % number for number in range(100)]
    assert threading.current_thread() not in who


def test_what_fails_beside_fails_the_block() -> None:
    def take(piece: bytes) -> None:
        raise OSError(28, "no space")

    def fill() -> None:
        with Beside(take, room=1) as beside:
            while True:
                beside.put(b"more")

    with pytest.raises(OSError, match="no space"):
        fill()


def test_a_block_that_fails_ends_its_thread() -> None:
    before = threading.active_count()

    def fill() -> None:
        with Beside(lambda piece: None) as beside:
            beside.put(b"x")
            raise ValueError

    with pytest.raises(ValueError):
        fill()
    assert threading.active_count() == before


def test_pieces_are_gathered() -> None:
    assert list(gathered((b"a", memoryview(b"bc"), b"defg", b"h"), 3)) == [b"abc", b"defg", b"h"]
    assert list(gathered((), 3)) == []


def test_a_helper_does_things_in_order_and_hands_its_failure_over() -> None:
    done: list[int] = []
    with Helper(2) as helper:
        for number in range(50):
            helper.do(partial(done.append, number))
    assert done == list(range(50))

    def fail() -> None:
        raise OSError(5, "no")

    with pytest.raises(OSError, match="no"), Helper(2) as helper:
        helper.do(fail)


def test_a_block_that_fails_itself_ends_its_helper() -> None:
    helper = Helper()
    with pytest.raises(KeyError), helper:
        raise KeyError
    assert not helper._thread.is_alive()
