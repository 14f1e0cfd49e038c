"""What a server that stops still tells: all, unless the endpoint takes nothing."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from boxship.registry.config import Endpoint, Seconds
from boxship.registry.events import Event, Source, Target
from boxship.registry.metrics import Metrics
from boxship.registry.notify import Notifier


class Refusing(Notifier):
    """Answers for the endpoint: so many envelopes are refused."""

    refusals = 0
    taken = 0

    async def _post(self, session: Any, body: bytes) -> str:
        self.refusals -= 1
        if self.refusals >= 0:
            return "it answered 503"
        self.taken += 1
        return ""


def stopped(refusals: int, backoff: float) -> tuple[int, int]:
    """Tell an event and stop at once, when it has been refused; what was taken, what is left."""

    async def story() -> tuple[int, int]:
        said = Endpoint("there", "http://x/", threshold=1, backoff=Seconds(backoff))
        notifier = Refusing(said, {}, Metrics(), references=False)
        notifier.refusals = refusals
        running = asyncio.create_task(notifier.run())
        notifier.tell(Event("push", Target("", "sha256:1", 1, "a/b"), Source()))
        while not notifier._refused:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await notifier.flush(200)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return notifier.taken, notifier.pending

    return asyncio.run(story())


def test_what_was_refused_once_is_tried_again_before_the_end() -> None:
    assert stopped(1, 0.05) == (1, 0)


@pytest.mark.parametrize("backoff", [0.05, 3600.0])
def test_who_takes_nothing_is_not_waited_for(backoff: float) -> None:
    assert stopped(1000, backoff) == (0, 1)
