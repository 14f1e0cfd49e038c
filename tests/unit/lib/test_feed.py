"""Bytes from an event loop to a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from boxship.lib.feed import Feed
from boxship.lib.pipe import Abandoned


def fed(write: Callable[[Feed], Awaitable[object]], read: Callable[[Feed], object]) -> object:
    """Write on a loop while a thread reads; return what the reader returns."""

    async def run() -> object:
        feed = Feed(room=10)
        reading = asyncio.ensure_future(asyncio.to_thread(read, feed))
        await write(feed)
        return await asyncio.wait_for(reading, 10)

    return asyncio.run(run())


def test_all_that_is_put_is_read_in_order() -> None:
    pieces = [bytes([n]) * (n % 7 + 1) for n in range(200)]

    async def write(feed: Feed) -> None:
        for piece in pieces:
            await feed.put(piece)
        feed.end()

    assert fed(write, lambda feed: b"".join(feed)) == b"".join(pieces)


def test_a_writer_waits_for_room() -> None:
    async def run() -> None:
        feed = Feed(room=4)
        await feed.put(b"12345")
        waiting = asyncio.create_task(feed.put(b"6"))
        await asyncio.sleep(0)
        assert not waiting.done()
        reader = iter(feed)
        assert await asyncio.to_thread(next, reader) == b"12345"
        await asyncio.wait_for(waiting, 10)

    asyncio.run(run())


def test_an_error_takes_the_place_of_what_is_not_read() -> None:
    async def write(feed: Feed) -> None:
        await feed.put(b"some")
        feed.end(ValueError("why"))

    def read(feed: Feed) -> object:
        with pytest.raises(ValueError, match="why"):
            b"".join(feed)
        return True

    assert fed(write, read)


def test_a_writer_hears_that_nobody_reads_any_more() -> None:
    async def write(feed: Feed) -> None:
        async def write_on() -> None:
            while True:
                await feed.put(b"more")

        with pytest.raises(Abandoned):
            await write_on()

    def read(feed: Feed) -> object:
        for _ in feed:
            break
        return True

    assert fed(write, read)
