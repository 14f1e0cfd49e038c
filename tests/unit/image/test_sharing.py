"""Work that several wait for."""

from __future__ import annotations

import asyncio

import pytest

from boxship.image.sharing import Shared
from boxship.image.telling import LayerTeller, Told


def test_what_runs_already_is_waited_for() -> None:
    async def run() -> None:
        shared: Shared[str, int] = Shared()
        begun = 0

        async def work() -> int:
            nonlocal begun
            begun += 1
            await asyncio.sleep(0.01)
            return begun

        assert await asyncio.gather(*(shared.join("a", work) for _ in range(5))) == [1] * 5
        assert await shared.join("a", work) == 2

    asyncio.run(run())


def test_it_ends_when_the_last_one_leaves_and_not_before() -> None:
    async def run() -> None:
        shared: Shared[str, None] = Shared()
        ended = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                ended.set()

        first, second = (asyncio.create_task(shared.join("a", work)) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.wait([first])
        assert not ended.is_set()
        second.cancel()
        await asyncio.wait([second])
        assert ended.is_set()

    asyncio.run(run())


def test_another_s_failure_is_tried_again_for_oneself() -> None:
    async def run() -> None:
        shared: Shared[str, str] = Shared()

        async def fails() -> str:
            await asyncio.sleep(0.01)
            raise ValueError("theirs")

        async def works() -> str:
            return "mine"

        first = asyncio.create_task(shared.join("a", fails))
        await asyncio.sleep(0)
        second = asyncio.create_task(shared.join("a", works))
        third = asyncio.create_task(shared.join("a", works, again=False))
        with pytest.raises(ValueError, match="theirs"):
            await first
        assert await second == "mine"
        with pytest.raises(ValueError, match="theirs"):
            await third

    asyncio.run(run())


def test_who_comes_later_hears_how_far_a_layer_is() -> None:
    teller = LayerTeller("layer")
    first: list[object] = []
    second: list[object] = []
    teller.listen(first.append)
    teller.figure("Downloading", 5, 10)
    teller.listen(second.append)
    teller.say("Pull complete")
    assert second == [
        Told("Downloading", "layer", 5, 10, layer=True),
        Told("Pull complete", "layer", layer=True),
    ]
    assert first == second
    assert not teller.leave(first.append)
    assert teller.leave(second.append)


def test_figures_come_now_and_then_and_the_last_one_always() -> None:
    teller = LayerTeller("layer")
    heard: list[object] = []
    teller.listen(heard.append)
    for at in range(1, 1001):
        teller.figure("Downloading", at, 1000)
    assert len(heard) < 50
    assert heard[-1] == Told("Downloading", "layer", 1000, 1000, layer=True)
