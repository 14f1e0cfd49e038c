"""The builds of the past: who asked what, and what came of it.

Of those that have ended, the newest are kept, and all of the last two days within bounds; those
that are pinned stay until somebody removes them. A build is written down a moment after its end;
who asks for records waits until all are, and so does the answer to a client that may ask.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from boxship.build.control import (
    clientspans,
    exporters,
    historyfilters,
    spans,
    status,
    telling,
)
from boxship.build.control.clientspans import ClientSpans, Trace
from boxship.build.control.jobs import Job, NoSuchBuild
from boxship.build.control.kept import FAILURE, STATUS, Kept, pointers
from boxship.build.control.spans import Caller
from boxship.build.progress import Told, Warned
from boxship.build.request import Built
from boxship.content.errors import NoSuchBlob
from boxship.errors import Conflict
from boxship.lib.finishing import finished
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.buildkit import spans_pb2
from boxship.spec.digest import Digest
from boxship.wire import grpc
from boxship.wire.grpc import Code, Failed

log = logging.getLogger(__name__)

LEAST: Final = 50  # records that are kept, however old
LONGEST: Final = 48 * 3600 * 10**9  # nanoseconds that further ones are kept
MOST: Final = 1000  # records that are kept, however new
LARGEST: Final = 256 << 20  # bytes of what belongs to them
IN_TOTO: Final = "application/vnd.in-toto+json"
LATER: Final = 0.1  # seconds until a build that has ended is kept, unless somebody asks before
PREDICATE: Final = "in-toto.io/predicate-type"


@dataclass(frozen=True, slots=True)
class _Ended:
    """A build that has ended, with what its record will point to."""

    record: pb.HistoryRecord
    told: Sequence[Told]
    built: Built | None
    details: bytes
    caller: Caller | None


class History:
    """The records, oldest first; belongs to one event loop."""

    def __init__(self, kept: Kept, records: Sequence[pb.HistoryRecord] = ()) -> None:
        self.kept = kept
        self._records = OrderedDict((one.ref, one) for one in records)
        self._sizes = {one.ref: size_of(one) for one in records}
        self._listeners: set[asyncio.Queue[pb.HistoryEvent]] = set()
        self._spans = ClientSpans()
        self._turn = asyncio.Lock()
        self._ended: deque[_Ended] = deque()  # and not kept yet
        self._has_ended = asyncio.Event()

    def begin(self, asked: pb.SolveRequest, job: Job) -> pb.HistoryRecord:
        """Note that a build has begun; one that is internal is noted nowhere."""
        record = pb.HistoryRecord(
            ref=asked.ref,
            frontend=asked.frontend,
            frontend_attrs=dict(asked.frontend_attrs),
            exporters=asked.exporters,
            generation=1,
        )
        record.created_at.CopyFrom(status.stamp(job.began))
        if not asked.internal:
            self._records[asked.ref] = record
            self._records.move_to_end(asked.ref)
            self._tell(pb.STARTED, record)
            if job.caller is not None:
                self._spans.begin(job.caller, record.ref)
        return record

    def end(
        self,
        record: pb.HistoryRecord,
        job: Job,
        *,
        built: Built | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Note what a build came to, and have it kept in a moment."""
        record.completed_at.CopyFrom(status.stamp(time.time_ns()))
        states = job.states.values()
        record.total_steps = len(states)
        record.cached_steps = sum(state.cached for state in states)
        record.completed_steps = sum(bool(state.completed) for state in states)
        record.warnings = sum(isinstance(told, Warned) for told in job.told)
        if built is not None:
            record.exporter_response.update(exporters.response(built))
            if built.image is not None:
                found = record.result.results[0]
                found.media_type = built.image.media_type
                found.digest = str(built.image.digest)
                found.size = built.image.size
        elif error is not None:
            _note(record, error)
        if self._records.get(record.ref) is not record:
            return
        details = error.details if isinstance(error, Failed) else b""
        self._ended.append(_Ended(record, tuple(job.told), built, details, job.caller))
        self._has_ended.set()

    async def watch(self) -> None:
        """Keep builds that have ended, when those who asked have their answer, until cancelled."""
        try:
            while True:
                await self._has_ended.wait()
                await asyncio.sleep(LATER)
                self._has_ended.clear()
                await self.settled()
        finally:
            while self._ended:  # none is lost because the daemon stops
                self._keep(self._ended.popleft())

    async def settled(self) -> None:
        """Return when all builds that have ended are kept."""
        async with self._turn:
            while self._ended:
                await self._settle()

    async def _settle(self) -> None:
        record = self._ended[0].record
        try:
            await finished(partial(self._keep, self._ended[0]))
        finally:
            self._ended.popleft()
            self._sizes[record.ref] = size_of(record)
            self._tell(pb.COMPLETE, record)
        if gone := too_old(list(self._records.values()), self._sizes, time.time_ns()):
            await self._remove(gone)

    def _keep(self, ended: _Ended) -> None:
        """Write a record and what belongs to it."""
        try:
            self._write(ended)
        except OSError as failure:  # the build itself has ended well or not without this
            log.warning("the record of the build %s was not kept: %s", ended.record.ref, failure)

    def _write(self, ended: _Ended) -> None:
        record, told, built = ended.record, ended.told, ended.built
        if told:
            record.logs.CopyFrom(self.kept.put(telling.written(told), STATUS))
        whole = spans.Whole(
            record.ref,
            record.created_at.ToNanoseconds(),
            record.completed_at.ToNanoseconds(),
            record.total_steps,
            record.error.message,
            ended.caller,
        )
        lines = [spans.written(whole, told)]
        if ended.caller is not None:
            lines += self._spans.of(ended.caller.trace).news(record.ref)
        record.trace.CopyFrom(self.kept.put(b"".join(lines), spans.TRACE))
        if ended.details:
            record.external_error.CopyFrom(self.kept.put(ended.details, FAILURE))
        if built is not None:
            for name, kind, predicate in built.attested():
                where = record.results[name] if name else record.result
                data = json.dumps(predicate).encode()
                one = self.kept.put(data, IN_TOTO, **{PREDICATE: kind})
                where.attestations.add().CopyFrom(one)
        self.kept.save(record)

    async def hear(self, asked: spans_pb2.ExportRequest) -> None:
        """Take spans of a client's; builds of their traces that have ended are told them, too."""
        for trace in self._spans.take(await asyncio.to_thread(clientspans.read, asked)):
            for ref in list(trace.builds):
                async with self._turn:
                    record = self._records.get(ref)
                    if record is not None and record.HasField("trace"):
                        await self._trace_more(record, trace)

    async def _trace_more(self, record: pb.HistoryRecord, trace: Trace) -> None:
        """Add what a build does not have yet to its trace."""
        if not (lines := trace.news(record.ref)):
            return
        before = pb.Descriptor()
        before.CopyFrom(record.trace)
        record.generation += 1
        try:
            await asyncio.to_thread(self._keep_trace, record, lines)
        except (OSError, NoSuchBlob) as failure:
            log.warning("spans of the build %s were not kept: %s", record.ref, failure)
            return
        await asyncio.to_thread(self.kept.forget, [before], list(self._records.values()))
        self._sizes[record.ref] = size_of(record)

    def _keep_trace(self, record: pb.HistoryRecord, lines: Sequence[bytes]) -> None:
        with open(self.kept.open(Digest.parse(record.trace.digest)), "rb") as file:
            data = file.read()
        record.trace.CopyFrom(self.kept.put(data + b"".join(lines), spans.TRACE))
        self.kept.save(record)

    async def update(self, asked: pb.HistoryUpdateRequest) -> None:
        """Pin or delete a record; there is nothing left to be done to finalize one."""
        await self.settled()
        record = self._records.get(asked.ref)
        if record is None:
            raise NoSuchBuild(asked.ref)
        if asked.finalize:
            return
        if not record.HasField("completed_at"):
            raise Conflict(f"the build {asked.ref} has not ended")
        async with self._turn:
            if asked.delete:
                await self._remove([record])
                return
            record.pinned = asked.pinned
            record.generation += 1
            await asyncio.to_thread(self.kept.save, record)
        self._tell(pb.COMPLETE, record)

    async def logs(self, ref: str) -> pb.Descriptor | None:
        """Return where the progress of a build that has ended is kept."""
        await self.settled()
        record = self._records.get(ref)
        return record.logs if record is not None and record.HasField("logs") else None

    async def listen(self, asked: pb.HistoryRequest) -> AsyncIterator[pb.HistoryEvent]:
        """Yield the records, and then what happens to them unless the asker leaves early."""
        filters = historyfilters.read(asked.filter)
        await self.settled()
        coming: asyncio.Queue[pb.HistoryEvent] = asyncio.Queue(1000)
        self._listeners.add(coming)
        try:
            sent = 0
            for record in reversed(list(self._records.values())):
                done = record.HasField("completed_at")
                if (asked.ref and record.ref != asked.ref) or (asked.active_only and done):
                    continue
                if not historyfilters.admits(filters, record):
                    continue
                if 0 < asked.limit <= sent:
                    break
                sent += 1
                yield pb.HistoryEvent(type=pb.COMPLETE if done else pb.STARTED, record=record)
            while not asked.early_exit:
                event = await coming.get()
                if asked.ref and event.record.ref != asked.ref:
                    continue
                if event.type == pb.DELETED or historyfilters.admits(filters, event.record):
                    yield event
        finally:
            self._listeners.discard(coming)

    def _tell(self, kind: pb.HistoryEventType.ValueType, record: pb.HistoryRecord) -> None:
        event = pb.HistoryEvent(type=kind)
        event.record.CopyFrom(record)
        for listener in list(self._listeners):
            if listener.full():
                self._listeners.discard(listener)
            else:
                listener.put_nowait(event)

    async def _remove(self, gone: Sequence[pb.HistoryRecord]) -> None:
        for record in gone:
            del self._records[record.ref]
            self._sizes.pop(record.ref, None)
            self._tell(pb.DELETED, pb.HistoryRecord(ref=record.ref))
        left = list(self._records.values())
        await asyncio.to_thread(self.kept.remove, gone, left)


def size_of(record: pb.HistoryRecord) -> int:
    """Return how many bytes belong to a record."""
    return sum(one.size for one in pointers(record))


def too_old(
    records: Sequence[pb.HistoryRecord], sizes: Mapping[str, int], now: int
) -> list[pb.HistoryRecord]:
    """Return what need not be kept any more; `records` are the oldest first."""
    size = sum(sizes.values())
    if len(records) <= LEAST and size <= LARGEST:
        return []
    loose = [one for one in records if not one.pinned and one.HasField("completed_at")]
    gone: list[pb.HistoryRecord] = []
    left = len(loose)
    for record in loose:
        old = left > LEAST and now - record.completed_at.ToNanoseconds() > LONGEST
        if not old and left <= MOST and size <= LARGEST:
            break
        gone.append(record)
        left -= 1
        size -= sizes.get(record.ref, 0)
    return gone


def _note(record: pb.HistoryRecord, error: BaseException) -> None:
    """Say in a record why a build has failed."""
    if isinstance(error, asyncio.CancelledError):
        record.error.code, record.error.message = int(Code.CANCELLED), "context canceled"
        return
    record.error.code, record.error.message = int(grpc.code_of(error)), str(error)
