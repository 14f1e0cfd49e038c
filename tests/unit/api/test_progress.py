"""What long work says goes to the client in order, and together where it comes together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from boxship.api import progress
from boxship.api.progress import Say
from boxship.api.routing import Stream
from boxship.errors import NotFound


async def taken(stream: Stream) -> list[tuple[bytes, ...]]:
    return [one async for one in cast("AsyncIterator[tuple[bytes, ...]]", stream.chunks)]


def test_what_is_said_in_quick_succession_goes_out_together() -> None:
    async def work(say: Say) -> None:
        for number in range(3):
            say({"n": number})
            await asyncio.sleep(0)
        for number in range(3, 50):
            say({"n": number})

    async def story() -> None:
        parts = await taken(await progress.told(work))
        said = [message for part in parts for message in part]
        assert said == [b'{"n":%d}\r\n' % number for number in range(50)]
        assert len(parts) <= 3

    asyncio.run(story())


def test_threads_are_heard_too() -> None:
    def work(say: Say) -> None:
        for number in range(200):
            say({"n": number})

    async def story() -> None:
        parts = await taken(await progress.narrated(work))
        said = [message for part in parts for message in part]
        assert said == [b'{"n":%d}\r\n' % number for number in range(200)]

    asyncio.run(story())


def test_the_first_word_waits_for_nothing() -> None:
    async def story() -> None:
        go = asyncio.Event()

        async def work(say: Say) -> None:
            say({"n": 1})
            await go.wait()

        stream = await progress.told(work)
        pieces = cast("AsyncIterator[tuple[bytes, ...]]", stream.chunks)
        assert await anext(pieces) == (b'{"n":1}\r\n',)
        go.set()
        assert [one async for one in pieces] == []

    asyncio.run(story())


def test_a_failure_before_the_first_word_is_raised_and_a_later_one_is_the_last_message() -> None:
    async def at_once(say: Say) -> None:
        raise NotFound("nothing there")

    async def later(say: Say) -> None:
        say({"n": 1})
        raise NotFound("nothing there")

    async def story() -> None:
        with pytest.raises(NotFound):
            await progress.told(at_once)
        parts = await taken(await progress.told(later))
        assert parts[0] == (b'{"n":1}\r\n',)
        assert b'"error":"nothing there"' in parts[-1][-1]

    asyncio.run(story())


def test_a_quiet_build_keeps_the_last_of_what_it_would_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "HELD", 100)
    said: list[object] = []
    held = progress.Held(said.append)
    assert not held.tell()
    for number in range(1000):
        held.keep({"stream": f"{number:010}"})
    assert held.tell()
    assert said == [{"stream": f"{number:010}"} for number in range(990, 1000)]
