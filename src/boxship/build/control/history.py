"""The builds of the past: who asked what, and what came of it. Kept while the daemon runs."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Final

from boxship.build.control import exporters, status
from boxship.build.control.jobs import Job, NoSuchBuild
from boxship.build.progress import Warned
from boxship.build.request import Built
from boxship.spec.buildkit import control_pb2 as pb
from boxship.wire import grpc
from boxship.wire.grpc import Code, Failed

KEPT: Final = 50


class History:
    """The records, oldest first."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, pb.HistoryRecord] = OrderedDict()
        self._listeners: set[asyncio.Queue[pb.HistoryEvent]] = set()

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
            self._tell(pb.STARTED, record)
        return record

    def end(
        self,
        record: pb.HistoryRecord,
        job: Job,
        *,
        built: Built | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Note what a build came to."""
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
        elif isinstance(error, Failed):
            record.error.code, record.error.message = int(error.code), str(error)
        elif isinstance(error, asyncio.CancelledError):
            record.error.code, record.error.message = int(Code.CANCELLED), "context canceled"
        elif error is not None:
            record.error.code, record.error.message = int(grpc.code_of(error)), str(error)
        if record.ref in self._records:
            self._tell(pb.COMPLETE, record)
            self._forget_old()

    def update(self, asked: pb.HistoryUpdateRequest) -> None:
        """Pin or delete a record."""
        record = self._records.get(asked.ref)
        if record is None:
            raise NoSuchBuild(asked.ref)
        if asked.delete:
            del self._records[asked.ref]
            self._tell(pb.DELETED, record)
        elif not asked.finalize:
            record.pinned = asked.pinned
            self._tell(pb.COMPLETE, record)

    async def listen(self, asked: pb.HistoryRequest) -> AsyncIterator[pb.HistoryEvent]:
        """Yield the records, and then what happens to them unless the asker leaves early."""
        coming: asyncio.Queue[pb.HistoryEvent] = asyncio.Queue(1000)
        self._listeners.add(coming)
        try:
            sent = 0
            for record in reversed(list(self._records.values())):
                done = record.HasField("completed_at")
                if (asked.ref and record.ref != asked.ref) or (asked.active_only and done):
                    continue
                if asked.limit and sent >= asked.limit:
                    break
                sent += 1
                yield pb.HistoryEvent(type=pb.COMPLETE if done else pb.STARTED, record=record)
            while not asked.early_exit:
                event = await coming.get()
                if not asked.ref or event.record.ref == asked.ref:
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

    def _forget_old(self) -> None:
        loose = [
            ref
            for ref, record in self._records.items()
            if not record.pinned and record.HasField("completed_at")
        ]
        for ref in loose[: max(0, len(self._records) - KEPT)]:
            del self._records[ref]
