from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from boxship.container.spool import Spool


def test_what_has_come_is_kept_and_more_than_that_is_read_later(tmp_path: Path) -> None:
    read: list[int] = []

    def pieces() -> Iterator[bytes]:
        for number in range(8):
            read.append(number)
            yield b"%d" % number * 10

    spool = Spool(str(tmp_path), most=25)
    spool.fill(pieces())
    assert read == [0, 1, 2]
    assert b"".join(spool) == b"".join(b"%d" % number * 10 for number in range(8))
    spool.close()
    assert not list(tmp_path.iterdir())
