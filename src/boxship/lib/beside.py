"""Work done by a thread of its own, in order, while whoever hands it over goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType


class Helper:
    """The thread of one block: does what it is given, in order; its failure is the block's.

    It begins with the first thing that it is given; a block that gives it nothing has no thread.
    """

    def __init__(self, waiting: int = 16) -> None:
        """So many things may wait to be done; who brings more waits too."""
        self._given: queue.SimpleQueue[tuple[Callable[[], object], bool] | None]
        self._given = queue.SimpleQueue()
        self._room = threading.Semaphore(waiting)
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Helper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._failure = error
        if self._thread is not None:
            self._given.put(None)
            self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def do(self, work: Callable[[], object], *, light: bool = False) -> None:
        """Have something done; raises what went wrong before.

        What is light takes no memory while it waits, so that nobody waits for room for it.
        """
        if not light:
            self._room.acquire()
        if self._failure is not None:
            raise self._failure
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="helper")
            self._thread.start()
        self._given.put((work, light))

    def _run(self) -> None:
        while (given := self._given.get()) is not None:
            work, light = given
            try:
                if self._failure is None:
                    work()
            except BaseException as error:  # the block raises it
                self._failure = error
            if not light:
                self._room.release()


def gathered(pieces: Iterable[bytes | memoryview], size: int) -> Iterator[bytes]:
    """Yield the same bytes in fewer pieces, each of `size` or more but for the last."""
    parts: list[bytes | memoryview] = []
    held = 0
    for piece in pieces:
        if not parts and len(piece) >= size:
            yield bytes(piece)
            continue
        parts.append(piece)
        held += len(piece)
        if held >= size:
            yield b"".join(parts)
            parts, held = [], 0
    if parts:
        yield b"".join(parts)
