"""What a thread makes is let go of however its client leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from boxship.api.progress import drawn


class Pieces:
    """An iterator that notices being closed, as an archive in the making does."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return b"x" * (1 << 18)

    def close(self) -> None:
        self.closed.set()


def test_leaving_twice_closes_once_for_all() -> None:
    """A client was seen to leave by its connection while what was sent to it was being undone:
    the closing was cancelled before a thread had taken it up, and the maker waited for ever.
    """
    pieces = Pieces()

    async def story() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        stream = drawn(pieces)
        assert await anext(stream)
        busy = threading.Event()
        occupying = asyncio.ensure_future(asyncio.to_thread(busy.wait))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(stream.aclose())  # type: ignore[attr-defined]
        for _ in range(3):
            await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        busy.set()
        await occupying
        await asyncio.to_thread(pieces.closed.wait)

    asyncio.run(asyncio.wait_for(story(), 20))
    assert pieces.closed.is_set()


def test_a_generator_that_still_runs_is_closed_when_it_rests() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def make() -> Iterator[bytes]:
        try:
            begun.set()
            go_on.wait()
            yield b"x" * (1 << 20)
        finally:
            ended.set()

    async def story() -> None:
        stream = drawn(make())
        first = asyncio.ensure_future(anext(stream))
        await asyncio.to_thread(begun.wait)
        first.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        await asyncio.to_thread(ended.wait)

    asyncio.run(asyncio.wait_for(story(), 20))
