"""Telling other programs of events: each endpoint gets them by POST, in order, until it took them.

The envelope is the reference server's: `{"events": [{id, timestamp, action, target, request, actor,
source}]}`. What an endpoint has not taken waits in memory, a bounded number of events; the oldest
go first when there are more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from boxship.lib import moments, strictjson
from boxship.registry.config import Endpoint
from boxship.registry.events import Event
from boxship.registry.metrics import Metrics

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/vnd.docker.distribution.events.v2+json"
WAITING: Final = 10_000  # events for one endpoint
AT_ONCE: Final = 100  # events in one envelope
ANSWER: Final = 64 << 10  # bytes of what an endpoint says to an envelope
PAUSE: Final = 1.0  # seconds before another try, while it has failed only a few times


class Notifier:
    """Sends events to one endpoint."""

    def __init__(
        self, endpoint: Endpoint, instance: Mapping[str, str], metrics: Metrics, references: bool
    ) -> None:
        self._endpoint = endpoint
        self._instance = dict(instance)
        self._metrics = metrics
        self._references = references
        self._waiting: deque[tuple[float, Event]] = deque()
        self._more = asyncio.Event()
        self._held_back = False
        self._refused = 0  # how often, in all
        self._ignored_types = {*endpoint.ignoredmediatypes, *endpoint.ignore.mediatypes}
        self._ignored_actions = set(endpoint.ignore.actions)

    @property
    def name(self) -> str:
        return self._endpoint.name

    @property
    def pending(self) -> int:
        return len(self._waiting)

    def tell(self, event: Event) -> None:
        """Take an event to be sent; any thread may call. It never waits."""
        if event.target.media_type in self._ignored_types:
            return
        if event.action in self._ignored_actions:
            return
        self._waiting.append((time.time(), event))
        if len(self._waiting) > WAITING:
            self._waiting.popleft()
            self._count("Dropped")
        self._more.set()

    async def run(self) -> None:
        """Send for as long as the server runs."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=self._endpoint.timeout)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self._more.wait()
                self._more.clear()
                while self._waiting:
                    await self._send_some(session)

    async def flush(self, seconds: float) -> None:
        """Wait until all has been sent, or for so long; not for an endpoint that takes nothing.

        One that has refused something is tried once more, if its turn comes before that.
        """
        refused, comes = self._refused, self._endpoint.backoff < seconds

        def is_hopeless() -> bool:
            return self._held_back and not (comes and self._refused == refused)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._waiting and not is_hopeless():  # noqa: ASYNC110 - at the end only
                    await asyncio.sleep(0.02)

    async def _send_some(self, session: aiohttp.ClientSession) -> None:
        batch = [self._waiting[at] for at in range(min(AT_ONCE, len(self._waiting)))]
        events = [self._document(since, event) for since, event in batch]
        body = strictjson.encode({"events": events})
        failures = 0
        while True:
            problem = await self._post(session, body)
            if not problem:
                break
            failures += 1
            self._refused += 1
            self._count("Failures")
            if failures == self._endpoint.threshold:
                log.error("events for %s are held back: %s", self._endpoint.name, problem)
            self._held_back = failures >= self._endpoint.threshold
            again = self._endpoint.backoff if failures >= self._endpoint.threshold else PAUSE
            await asyncio.sleep(again)
        self._held_back = False
        for entry in batch:
            self._count("Successes")
            if self._waiting and self._waiting[0] is entry:
                self._waiting.popleft()  # else it was dropped meanwhile

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> str:
        """Send an envelope; return what went wrong, "" for nothing."""
        import aiohttp

        headers = [("Content-Type", MEDIA_TYPE)]
        for name, values in self._endpoint.headers.items():
            headers += [(name, one) for one in ([values] if isinstance(values, str) else values)]
        try:
            async with session.post(
                self._endpoint.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                await answer.content.read(ANSWER)  # the connection is used again
                return "" if 200 <= answer.status < 400 else f"it answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"

    def _document(self, since: float, event: Event) -> dict[str, Any]:
        return document(since, event, self._instance, references=self._references)

    def _count(self, what: str) -> None:
        self._metrics.count(
            "registry_notifications_events_total", type=what, endpoint=self._endpoint.name
        )


def document(
    since: float, event: Event, instance: Mapping[str, str], *, references: bool
) -> dict[str, Any]:
    """Return an event as the envelope has it."""
    target, source = event.target, event.source
    what: dict[str, Any] = {}
    if target.media_type:
        what["mediaType"] = target.media_type
    if target.size:
        what |= {"size": target.size, "length": target.size}
    what |= {"digest": target.digest, "repository": target.repository}
    if target.source:
        what["fromRepository"] = target.source
    if source.base:
        blob = not target.tag and "manifest" not in target.media_type
        kind = "blobs" if blob and "index" not in target.media_type else "manifests"
        what["url"] = f"{source.base}/v2/{target.repository}/{kind}/{target.digest}"
    if target.tag:
        what["tag"] = target.tag
    if references and target.references:
        what["references"] = [
            {"mediaType": one.media_type, "digest": one.digest, "size": one.size}
            for one in target.references
        ]
    return {
        "id": event.id,
        "timestamp": moments.show(int(since * 1e9)),
        "action": event.action,
        "target": what,
        "request": {
            "id": source.request_id,
            "addr": source.peer,
            "host": source.host,
            "method": source.method,
            "useragent": source.agent,
        },
        "actor": {"name": source.actor} if source.actor else {},
        "source": dict(instance),
    }
