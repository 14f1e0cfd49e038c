"""The builds that are under way, and what is told of them, for any number of listeners."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from boxship.build.progress import Output, Told, VertexState
from boxship.errors import Conflict, NotFound
from boxship.lib.mailbox import Mailbox
from boxship.spec.digest import Digest

if TYPE_CHECKING:
    from boxship.build.control.gateway import Bridge
    from boxship.build.control.spans import Caller

KEPT: Final = 64  # builds that have ended and whose progress can still be read
WAIT: Final = 20.0  # seconds for a build that is about to begin
OUTPUT_LIMIT: Final = 16 << 20  # bytes of output that are kept of one build
OUTPUT_KEPT: Final = 256 << 10  # bytes of it that are kept when the build has ended
TOGETHER: Final = 0.02  # seconds in which what is told is told at once: each message costs a client
INTERRUPTED: Final = "context canceled"


class NoSuchBuild(NotFound):
    """No build has this name."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"no such job {ref}")


class Job:
    """One build."""

    def __init__(self, ref: str, loop: asyncio.AbstractEventLoop) -> None:
        self.ref = ref
        self.began = time.time_ns()
        self._bridge: asyncio.Future[Bridge] = loop.create_future()
        self.task: asyncio.Task[object] | None = None
        self.done = False
        self.told: list[Told] = []
        self.states: dict[Digest, VertexState] = {}
        self.caller: Caller | None = None
        self._loop = loop
        self._box: Mailbox[Told] = Mailbox(self._take)
        self._waiting: list[asyncio.Future[None]] = []
        self._ended: asyncio.Future[None] = loop.create_future()
        self._room = OUTPUT_LIMIT

    def offer(self, bridge: Bridge) -> None:
        """The build is driven from the client's side, by this bridge."""
        self._bridge.set_result(bridge)

    async def bridged(self) -> Bridge:
        """Return the bridge, waiting a little for it; NoSuchBuild where there is none."""
        try:
            async with asyncio.timeout(WAIT):
                return await asyncio.shield(self._bridge)
        except TimeoutError:
            raise NoSuchBuild(self.ref) from None
        except asyncio.CancelledError:
            if self._bridge.cancelled():  # the build has ended
                raise NoSuchBuild(self.ref) from None
            raise

    def report(self, told: Told) -> None:
        """Take what is told; from any thread."""
        self._box.put(told)

    def flush(self) -> None:
        """Take what has been told by now."""
        self._box.flush()

    def _take(self, told: Told) -> None:
        if isinstance(told, Output):
            self._room -= len(told.data)
            if self._room < 0:
                return
        elif isinstance(told, VertexState):
            self.states[told.digest] = told
        self.told.append(told)
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def end(self) -> None:
        """Nothing more will be told; what is unfinished will stay so."""
        self.flush()
        now = time.time_ns()
        for state in list(self.states.values()):
            if state.started and not state.completed:
                error = state.error or INTERRUPTED
                self._take(replace(state, completed=now, error=error))
        self.done = True
        self._bridge.cancel()
        self._ended.set_result(None)
        self._wake()

    def shrink(self) -> None:
        """Keep of a build that has ended only the last of what it wrote."""
        room, kept = OUTPUT_KEPT, list[Told]()
        for told in reversed(self.told):
            room -= len(told.data) if isinstance(told, Output) else 0
            if room >= 0 or not isinstance(told, Output):
                kept.append(told)
        if len(kept) < len(self.told):
            self.told = kept[::-1]  # who follows reads on in the old list

    async def follow(self) -> AsyncIterator[list[Told]]:
        """Yield what is told, from the beginning, until the build has ended."""
        at, told = 0, self.told  # the list is replaced, and not cut, when the build has ended
        while True:
            if at < len(told):
                some = told[at:]
                at = len(told)
                yield some
                await asyncio.wait([self._ended], timeout=TOGETHER)
            elif self.done:
                return
            else:
                changed: asyncio.Future[None] = self._loop.create_future()
                self._waiting.append(changed)
                await changed


class Jobs:
    """The builds by name."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: dict[str, list[asyncio.Future[Job]]] = {}

    @contextmanager
    def running(self, ref: str) -> Iterator[Job]:
        """A build for the length of the block; Conflict where one of this name is under way."""
        if ref in self._jobs and not self._jobs[ref].done:
            raise Conflict(f"job ID {ref} exists")
        job = Job(ref, asyncio.get_running_loop())
        job.task = asyncio.current_task()
        self._jobs[ref] = job
        self._jobs.move_to_end(ref)
        for waiting in self._waiting.get(ref, ()):
            if not waiting.done():
                waiting.set_result(job)
        try:
            yield job
        finally:
            job.end()
            job.shrink()
            self._forget_old()

    def get(self, ref: str) -> Job | None:
        return self._jobs.get(ref)

    async def find(self, ref: str, wait: float = WAIT) -> Job:
        """Return a build, waiting a little for one that is about to begin."""
        if ref in self._jobs:
            return self._jobs[ref]
        coming: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(ref, []).append(coming)
        try:
            async with asyncio.timeout(wait):
                return await coming
        except TimeoutError:
            raise NoSuchBuild(ref) from None
        finally:
            self._waiting[ref].remove(coming)
            if not self._waiting[ref]:
                del self._waiting[ref]

    def cancel(self, ref: str) -> bool:
        """Stop a build; False when it is not under way."""
        job = self._jobs.get(ref)
        if job is None or job.done or job.task is None:
            return False
        job.task.cancel()
        return True

    def _forget_old(self) -> None:
        ended = [ref for ref, job in self._jobs.items() if job.done]
        for ref in ended[: max(0, len(ended) - KEPT)]:
            del self._jobs[ref]
