"""What a thread of its own does."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from boxship.lib.beside import Helper, gathered


def test_pieces_are_gathered() -> None:
    assert list(gathered((b"a", memoryview(b"bc"), b"defg", b"h"), 3)) == [b"abc", b"defg", b"h"]
    assert list(gathered((), 3)) == []


def test_a_helper_does_things_in_order_and_hands_its_failure_over() -> None:
    done: list[int] = []
    who: set[threading.Thread] = set()

    def work(number: int) -> None:
        who.add(threading.current_thread())
        done.append(number)

    with Helper(2) as helper:
        for number in range(50):
            helper.do(partial(work, number))
    assert done == list(range(50))
    assert threading.current_thread() not in who

    def fail() -> None:
        raise OSError(5, "no")

    with pytest.raises(OSError, match="no"), Helper(2) as helper:
        helper.do(fail)


def test_who_hands_over_without_end_hears_of_a_failure() -> None:
    def fail() -> None:
        raise OSError(28, "no space")

    def fill() -> None:
        with Helper(1) as helper:
            while True:
                helper.do(fail)

    with pytest.raises(OSError, match="no space"):
        fill()


def test_a_block_that_fails_itself_ends_its_helper() -> None:
    who: list[threading.Thread] = []
    met = threading.Event()

    def meet() -> None:
        who.append(threading.current_thread())
        met.set()

    def fail() -> None:
        with Helper() as helper:
            helper.do(meet)
            met.wait()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not who[0].is_alive()


def test_a_block_that_has_nothing_done_has_no_thread() -> None:
    before = threading.active_count()
    with Helper():
        assert threading.active_count() == before
