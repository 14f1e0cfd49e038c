"""Work in threads that is done to its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.support.faulty_registry import wait_until

from boxship.lib.finishing import finished, in_thread


class Steps:
    """A context that can be held up on its way in and out, and says where it is."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()

    @contextmanager
    def context(self) -> Iterator[int]:
        self.done.append("entering")
        self.go_on.wait(10)
        try:
            yield 7
        except ValueError:
            self.done.append("failed")
            raise
        finally:
            self.done.append("left")


def test_a_context_is_entered_and_left() -> None:
    async def run() -> list[str]:
        steps = Steps()
        async with in_thread(steps.context()) as value:
            steps.done.append(str(value))
        return steps.done

    assert asyncio.run(run()) == ["entering", "7", "left"]


def test_a_failure_inside_reaches_the_context() -> None:
    async def run() -> list[str]:
        steps = Steps()
        with pytest.raises(ValueError, match="why"):
            async with in_thread(steps.context()):
                raise ValueError("why")
        return steps.done

    assert asyncio.run(run()) == ["entering", "failed", "left"]


def test_what_was_entered_is_left_when_nobody_waits_any_more() -> None:
    async def run() -> list[str]:
        steps = Steps()
        steps.go_on.clear()

        async def use() -> None:
            async with in_thread(steps.context()):
                steps.done.append("inside")

        using = asyncio.create_task(use())
        await asyncio.to_thread(wait_until, lambda: bool(steps.done))
        using.cancel()
        asyncio.get_running_loop().call_later(0.01, steps.go_on.set)
        await asyncio.wait([using])
        assert using.cancelled()
        return steps.done

    assert asyncio.run(run()) == ["entering", "left"]


def test_begun_work_is_finished_before_a_cancellation_is_heeded() -> None:
    async def run() -> list[str]:
        done: list[str] = []
        go_on = threading.Event()

        def work() -> None:
            done.append("begun")
            go_on.wait(10)
            done.append("finished")

        working = asyncio.create_task(finished(work))
        await asyncio.to_thread(wait_until, lambda: bool(done))
        for _ in range(3):
            working.cancel()
            await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait([working])
        assert working.cancelled()
        return done

    assert asyncio.run(run()) == ["begun", "finished"]
