"""The journal: history, windows of time, filters, listeners that do not keep up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence

import pytest

from boxship.errors import InvalidRequest
from boxship.events.journal import HISTORY, WAITING_LIMIT, Journal, Overrun
from boxship.events.selection import matches
from boxship.lib import timestamps

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 1000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(clock: Clock) -> Journal:
    return Journal(clock)


def told(journal: Journal, since: str = "", until: str = "", **wanted: Sequence[str]) -> list[str]:
    """Return the IDs that a stream which ends gives."""

    async def read() -> list[str]:
        stream = journal.stream(since, until, wanted)
        return [event.actor.id or "" async for event in stream if event.actor]

    return asyncio.run(read())


def test_the_history_holds_the_last_256(journal: Journal) -> None:
    for number in range(HISTORY + 10):
        journal.publish("volume", "create", str(number), {})
    ids = told(journal, until="1000.000001")  # a nanosecond for each
    assert (len(ids), ids[0], ids[-1]) == (HISTORY, "10", str(HISTORY + 9))


def test_since_and_until_cut_a_window(journal: Journal, clock: Clock) -> None:
    for second in range(1000, 1010):
        clock.now = second * SECOND + 5
        journal.publish("volume", "create", str(second), {})
    assert told(journal, "1003", "1005.9") == ["1003", "1004", "1005"]
    assert told(journal, "1003.000000006", "1004.000000005") == ["1004"]
    assert told(journal, "1970-01-01T00:16:48Z", "1009.5") == ["1008", "1009"]
    assert told(journal, "1s500ms", "1009.000000005") == ["1008", "1009"]


def test_a_window_that_ends_before_it_begins_is_refused(journal: Journal) -> None:
    with pytest.raises(InvalidRequest, match="cannot be after"):
        told(journal, "1010", "1005")
    with pytest.raises(InvalidRequest):
        told(journal, "yesterday", "1005")
    with pytest.raises(InvalidRequest, match="invalid filter 'colour'"):
        told(journal, until="1", colour=["red"])


def test_events_from_other_threads_are_heard_in_order(journal: Journal) -> None:
    async def listen() -> list[str]:
        stream = journal.stream()
        thread = threading.Thread(
            target=lambda: [journal.publish("volume", "create", str(n), {}) for n in range(500)]
        )
        thread.start()
        heard: list[str] = []
        async for event in stream:
            assert event.actor is not None
            heard.append(event.actor.id or "")
            if len(heard) == 500:
                break
        stream.close()
        thread.join()
        return heard

    assert asyncio.run(listen()) == [str(n) for n in range(500)]
    assert journal.listeners == 0


def test_a_listener_that_does_not_read_is_cut_off(journal: Journal) -> None:
    async def listen() -> None:
        stream = journal.stream()
        for number in range(WAITING_LIMIT + 2):
            journal.publish("volume", "create", str(number), {})
        async for _ in stream:
            pytest.fail("it should have been told")

    with pytest.raises(Overrun):
        asyncio.run(listen())


def test_a_stream_that_nobody_reads_is_forgotten(journal: Journal) -> None:
    async def start() -> None:
        journal.stream()

    asyncio.run(start())
    assert journal.listeners == 0


CONTAINER = {"image": "busybox:1.36", "name": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        ({}, True),
        ({"type": ["container"]}, True),
        ({"type": ["volume", "container"]}, True),
        ({"type": ["volume"]}, False),
        ({"event": ["exec_create"]}, True),
        ({"event": ["exec_create: ls"]}, True),
        ({"event": ["exec"]}, False),
        ({"container": ["web"]}, True),
        ({"container": ["we"]}, True),
        ({"container": ["abc1"]}, True),
        ({"container": ["zzz", "web"]}, True),
        ({"container": ["bc1"]}, False),
        ({"image": ["busybox"]}, True),
        ({"image": ["busybox:1.36"]}, True),
        ({"image": ["busy"]}, False),
        ({"label": ["tier"]}, True),
        ({"label": ["tier=front", "name=web"]}, True),
        ({"label": ["tier=front", "tier=back"]}, False),
        ({"scope": ["local"]}, True),
        ({"scope": ["swarm"]}, False),
    ],
)
def test_filters_mean_what_dockers_mean(
    journal: Journal, wanted: Mapping[str, Sequence[str]], passes: bool
) -> None:
    journal.publish("container", "exec_create: ls", "abc123", CONTAINER)
    (event,) = journal._history
    assert matches(event, wanted) is passes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.5", 0.5),
        ("1700000000", 1_700_000_000),
        ("1700000000.000000001", 1_700_000_000.000000001),
        ("1970-01-02T00:00:00Z", 86400),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-02Z", 86400),
        ("10m", 400),
        ("1h", -2600),
    ],
)
def test_moments_are_read_in_each_form(text: str, seconds: float) -> None:
    assert timestamps.parse(text, 1000 * SECOND) == pytest.approx(seconds * SECOND, abs=1)


@pytest.mark.parametrize("text", ["", "x", "1e9", "2020-13-01", "10 m", "--5"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        timestamps.parse(text, 0)
