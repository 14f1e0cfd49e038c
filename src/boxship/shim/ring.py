"""A log that the program does not wait for: a thread writes it, and what does not fit is dropped.

Only for `mode=non-blocking`. The thread takes nothing but records from a bounded queue, so a fork
of this process, which has no such thread, misses nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol


class File(Protocol):
    """What the thread writes to; nobody else touches it meanwhile."""

    @property
    def lost(self) -> int: ...
    def write(self, records: bytes) -> None: ...
    def step(self) -> bool: ...
    def close(self) -> None: ...


class Ring:
    """Takes records at once; `lost` counts the bytes that found no room here or on the disk."""

    def __init__(self, file: File, room: int) -> None:
        self._file = file
        self._room = room
        self._queue: deque[bytes] = deque()
        self._held = 0
        self._dropped = 0
        self._ends = False
        self._changed = threading.Condition()
        self._writer = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._writer.start()

    @property
    def lost(self) -> int:
        return self._dropped + self._file.lost

    def write(self, records: bytes) -> None:
        """Take whole records, or drop them when too much is waiting already."""
        with self._changed:
            if self._queue and self._held + len(records) > self._room:
                self._dropped += len(records)
                return
            self._queue.append(records)
            self._held += len(records)
            self._changed.notify()

    @property
    def has_more(self) -> bool:
        """There is nothing to do for anybody but the thread."""
        return False

    def step(self) -> bool:
        return False

    def close(self) -> None:
        """Write what is waiting; the program has ended, so it is nobody else who waits for that."""
        with self._changed:
            self._ends = True
            self._changed.notify()
        self._writer.join()
        self._file.close()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._ends)
                if not self._queue:
                    return
                records = self._queue[0]
            self._file.write(records)
            with self._changed:
                self._queue.popleft()
                self._held -= len(records)
            while not self._queue and self._file.step():
                pass
