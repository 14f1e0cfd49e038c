"""A program whose log is `non-blocking` does not wait for the log's disk."""

from __future__ import annotations

import threading

from boxship.shim.ring import Ring


class SlowFile:
    """A log on a disk that does nothing until it is told to."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.closed = False
        self.disk = threading.Event()
        self.asked = threading.Event()
        self.lost = 0

    def write(self, records: bytes) -> None:
        self.asked.set()
        self.disk.wait()
        self.records.append(records)

    def step(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


def test_what_finds_no_room_is_dropped_and_counted_and_the_rest_comes_in_order() -> None:
    file = SlowFile()
    ring = Ring(file, room=10)
    ring.write(b"aaaa\n")
    file.asked.wait()
    ring.write(b"bbbb\n")
    ring.write(b"cccc\n")  # there is no room for it
    ring.write(b"")
    assert ring.lost == 5
    file.disk.set()
    ring.close()
    assert b"".join(file.records) == b"aaaa\nbbbb\n"
    assert file.closed


def test_a_record_larger_than_the_room_is_taken_when_nothing_waits() -> None:
    file = SlowFile()
    file.disk.set()
    ring = Ring(file, room=2)
    ring.write(b"much more than that\n")
    ring.close()
    assert file.records == [b"much more than that\n"]
    assert ring.lost == 0
