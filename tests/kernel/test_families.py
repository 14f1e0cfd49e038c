"""A process is killed with all that came of it, and nobody else is."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from boxship.kernel import families
from boxship.kernel.families import Member

WITHIN = 10.0  # seconds


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def started(script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", script], start_new_session=True)


def session(pid: int) -> set[int]:
    listed = subprocess.run(
        ["ps", "-s", str(pid), "-o", "pid="], capture_output=True, text=True, check=False
    )
    found = {int(word) for word in listed.stdout.split()}
    return {number for number in found if families.look(number)}


def test_descendants_and_the_session_are_the_family() -> None:
    every = {
        10: Member(parent=1, session=10, started=0),
        11: Member(parent=10, session=10, started=0),
        12: Member(parent=11, session=12, started=0),  # a session of its own, but a descendant
        13: Member(parent=1, session=10, started=0),  # an orphan of the session
        14: Member(parent=13, session=14, started=0),
        20: Member(parent=1, session=20, started=0),
    }
    assert families.family(10, every) == {10, 11, 12, 13, 14}
    assert families.family(99, every) == set()


def test_a_session_that_is_not_led_is_not_the_family() -> None:
    every = {1: Member(0, 1, 0), 5: Member(0, 1, 0), 6: Member(5, 1, 0), 7: Member(1, 1, 0)}
    assert families.family(5, every) == {5, 6}


def test_orphans_end_with_the_one_that_left_them() -> None:
    leader = started("(sleep 1000 &); sleep 1000 & wait")
    try:
        wait_until(lambda: len(session(leader.pid)) >= 3)
        families.kill(leader.pid, lambda: session(leader.pid))
        leader.wait(WITHIN)
        wait_until(lambda: not session(leader.pid))
    finally:
        leader.kill()


def test_who_is_not_among_them_is_spared() -> None:
    leader = started("sleep 1000 & wait")
    try:
        wait_until(lambda: len(session(leader.pid)) == 2)
        (child,) = session(leader.pid) - {leader.pid}
        families.kill(leader.pid, lambda: {leader.pid})
        leader.wait(WITHIN)
        assert families.look(child)
        families.kill(child, lambda: {child})
    finally:
        leader.kill()
