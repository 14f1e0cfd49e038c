"""R4.5: readers that come again miss nothing, see nothing twice, and see each object's order."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections import defaultdict

import pytest

from boxship.events.journal import HISTORY, Journal

SECOND = 1_000_000_000
OBJECTS = 64
WRITERS = 4


def test_no_two_events_have_the_same_time_when_the_clock_stands_or_goes_back() -> None:
    times = iter([5 * SECOND, 5 * SECOND, 4 * SECOND, 6 * SECOND, 6 * SECOND])
    journal = Journal(lambda: next(times, 7 * SECOND))
    for number in range(5):
        journal.publish("volume", "create", str(number), {})
    found = asyncio.run(read_some(journal, "0.000000001", 5))
    moments = [moment for moment, _, _ in found]
    assert moments == sorted(set(moments))
    assert [name for _, name, _ in found] == list("01234")


async def read_some(journal: Journal, since: str, count: int) -> list[tuple[int, str, int]]:
    """Read so many events from a moment on."""
    stream = journal.stream(since)
    found: list[tuple[int, str, int]] = []
    try:
        async for event in stream:
            assert event.actor is not None
            number = int((event.actor.attributes or {}).get("number", "0"))
            found.append((event.time_nano or 0, event.actor.id or "", number))
            if len(found) == count:
                break
    finally:
        stream.close()
    return found


def after(moment: int) -> str:
    """Return the cursor that goes on behind an event."""
    seconds, nano = divmod(moment + 1, SECOND)
    return f"{seconds}.{nano:09}"


@pytest.mark.parametrize("each", [2_500, pytest.param(250_000, marks=pytest.mark.slow)])
def test_a_reader_that_comes_and_goes_sees_each_event_once_and_in_order(each: int) -> None:
    journal = Journal()
    read = threading.Semaphore(HISTORY - WRITERS)  # a cursor leads back this far

    def write(writer: int) -> None:
        for number in range(each):
            assert read.acquire(timeout=120)
            identifier = f"{writer}-{number % OBJECTS}"
            journal.publish("container", "act", identifier, {"number": str(number)})

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    pick = random.Random(each)

    async def follow() -> list[tuple[int, str, int]]:
        seen: list[tuple[int, str, int]] = []
        cursor = "0.000000001"
        while len(seen) < WRITERS * each:
            wanted = min(pick.randrange(1, 2000), WRITERS * each - len(seen))
            stream = journal.stream(cursor)
            async for event in stream:
                assert event.actor is not None
                number = int((event.actor.attributes or {})["number"])
                seen.append((event.time_nano or 0, event.actor.id or "", number))
                read.release()
                wanted -= 1
                if not wanted:
                    break
            stream.close()
            cursor = after(seen[-1][0])
        return seen

    for writer in writers:
        writer.start()
    seen = asyncio.run(asyncio.wait_for(follow(), 280))
    for writer in writers:
        writer.join()
    moments = [moment for moment, _, _ in seen]
    assert all(one < other for one, other in itertools.pairwise(moments))
    by_object = defaultdict(list)
    for _, identifier, number in seen:
        by_object[identifier].append(number)
    assert len(by_object) == WRITERS * OBJECTS
    for numbers in by_object.values():
        assert numbers == list(range(numbers[0], each, OBJECTS))
