"""Turns: one change after the other, and who waits too long is told for what."""

from __future__ import annotations

import asyncio

import pytest

from boxship.container.errors import Busy
from boxship.container.turn import Turn


def test_changes_come_one_after_the_other_in_the_order_they_asked() -> None:
    turn, seen = Turn(), []

    async def change(number: int) -> None:
        async with turn.take(f"change {number}", "c"):
            seen.append(number)
            await asyncio.sleep(0)
            assert turn.verb == f"change {number}"
            seen.append(number)

    async def story() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(change(number))

    asyncio.run(story())
    assert seen == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert turn.verb == ""


def test_who_waits_too_long_hears_what_is_under_way() -> None:
    async def story() -> None:
        turn = Turn()
        async with turn.take("stop", "web"):
            with pytest.raises(Busy) as refusal:
                async with turn.take("start", "web", within=0.01):
                    pytest.fail("two at once")
            assert "stop" in str(refusal.value)
            assert "web" in str(refusal.value)
        async with turn.take("start", "web", within=0.01):
            pass

    asyncio.run(story())


def test_a_change_that_fails_gives_its_turn_back() -> None:
    async def story() -> None:
        turn = Turn()
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                async with turn.take("fail", "web", within=0.01):
                    raise ZeroDivisionError

    asyncio.run(story())
