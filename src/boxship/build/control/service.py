"""The services that clients call over gRPC, by path.

moby.buildkit.v1.Control              builds, their progress, the cache, the past
moby.buildkit.v1.frontend.LLBBridge   builds that the client drives
grpc.health.v1.Health                 is anybody there
opentelemetry's TraceService          what clients did around a build
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from boxship.build.cache.record import Usage
from boxship.build.control import contents, exporters, status
from boxship.build.control.bridging import BridgeCalls
from boxship.build.control.calls import answer
from boxship.build.control.calls import asked as asked_of
from boxship.build.control.clientspans import caller_of
from boxship.build.control.contents import Contents
from boxship.build.control.gateway import Bridge
from boxship.build.control.needs import Cache
from boxship.build.control.solving import Solving
from boxship.build.control.worker import Worker, version
from boxship.build.session.sessions import Sessions
from boxship.content.store import Blobs
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.buildkit import spans_pb2 as spans
from boxship.spec.digest import Digest
from boxship.transport.http2 import Stream
from boxship.transport.tunnel import InCall, Tunnel
from boxship.wire.grpc import Code, Failed

CONTROL: Final = "/moby.buildkit.v1.Control/"
HEALTH: Final = "/grpc.health.v1.Health/Check"
TRACES: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SERVING: Final = 1
BUILD_ID: Final = "buildkit-controlapi-buildid"


class Service:
    """Serves every connection; what is asked on one may concern what was begun on another."""

    def __init__(
        self,
        solving: Solving,
        sessions: Sessions,
        cache: Cache,
        blobs: Blobs,
        worker: Worker,
    ) -> None:
        self._solving = solving
        self._sessions = sessions
        self._cache = cache
        self._worker = worker
        contents_of = Contents(solving.history.kept, blobs)
        self._calls: Mapping[str, Callable[[Stream], Awaitable[None]]] = {
            f"{CONTROL}Solve": self._solve,
            f"{CONTROL}Status": self._status,
            f"{CONTROL}ListWorkers": self._list_workers,
            f"{CONTROL}Info": self._info,
            f"{CONTROL}DiskUsage": self._disk_usage,
            f"{CONTROL}Prune": self._prune,
            f"{CONTROL}Session": self._session,
            f"{CONTROL}ListenBuildHistory": self._listen,
            f"{CONTROL}UpdateBuildHistory": self._update,
            **BridgeCalls(self._find_bridge, worker.known).calls,
            **contents_of.calls,
            HEALTH: self._health,
            TRACES: self._traces,
        }

    async def serve(self, stream: Stream) -> None:
        """Answer one call."""
        call = self._calls.get(stream.path)
        if call is None:
            raise Failed(Code.UNIMPLEMENTED, f"unknown method {stream.path[:200]}")
        await call(stream)

    # Control

    async def _solve(self, stream: Stream) -> None:
        asked, caller = await asked_of(stream, pb.SolveRequest), caller_of(stream.metadata)
        try:
            built = await self._solving.solve(asked, caller)
        finally:
            await self._solving.history.settled()  # who calls may go on to ask for its record
        await answer(stream, pb.SolveResponse(exporter_response=exporters.response(built)))

    async def _status(self, stream: Stream) -> None:
        asked = await asked_of(stream, pb.StatusRequest)
        history, job = self._solving.history, self._solving.jobs.get(asked.ref)
        if (job is None or job.done) and (logs := await history.logs(asked.ref)):
            stream.answer()
            async for message in contents.progress(history.kept, Digest.parse(logs.digest)):
                await stream.send(message)
            return
        job = await self._solving.jobs.find(asked.ref)
        stream.answer()
        async for told in job.follow():
            await stream.send(status.response(told).SerializeToString())

    async def _list_workers(self, stream: Stream) -> None:
        await asked_of(stream, pb.ListWorkersRequest)
        await answer(stream, pb.ListWorkersResponse(record=[await self._worker.known()]))

    async def _info(self, stream: Stream) -> None:
        await asked_of(stream, pb.InfoRequest)
        await answer(stream, pb.InfoResponse(version=version()))

    async def _disk_usage(self, stream: Stream) -> None:
        asked = await asked_of(stream, pb.DiskUsageRequest)
        found = await asyncio.to_thread(self._cache.usage, _filters(asked.filter))
        await answer(stream, pb.DiskUsageResponse(record=map(_usage, found)))

    async def _prune(self, stream: Stream) -> None:
        asked = await asked_of(stream, pb.PruneRequest)
        gone = await self._cache.prune(
            _filters(asked.filter),
            everything=asked.all,
            keep=asked.reserved_space,
            most=asked.max_used_space,
            free=asked.min_free_space,
            unused_for=asked.keep_duration,
        )
        stream.answer()
        for one in gone:
            await stream.send(_usage(one).SerializeToString())

    async def _session(self, stream: Stream) -> None:
        """Serve a session whose connection is carried by this very call."""
        stream.answer()
        async with Tunnel(InCall(stream)) as tunnel:
            await self._sessions.serve(tunnel, stream.metadata)

    async def _listen(self, stream: Stream) -> None:
        asked = await asked_of(stream, pb.HistoryRequest)
        stream.answer()
        async for event in self._solving.history.listen(asked):
            await stream.send(event.SerializeToString())

    async def _update(self, stream: Stream) -> None:
        await self._solving.history.update(await asked_of(stream, pb.HistoryUpdateRequest))
        await answer(stream, pb.HistoryUpdateResponse())

    # The bridge

    async def _find_bridge(self, stream: Stream) -> Bridge:
        """Return the bridge of the build that a call names."""
        ref = next(iter(stream.metadata.get(BUILD_ID, ())), "")
        job = await self._solving.jobs.find(ref)
        return await job.bridged()

    # The rest

    async def _health(self, stream: Stream) -> None:
        await asked_of(stream, pb.HealthRequest)
        await answer(stream, pb.HealthResponse(status=SERVING))

    async def _traces(self, stream: Stream) -> None:
        await self._solving.history.hear(await asked_of(stream, spans.ExportRequest))
        await stream.send(b"", end=False)


def _filters(given: Sequence[str]) -> dict[str, list[str]]:
    """Read `key==value` and `key=~pattern` filters as the cache takes them."""
    found: dict[str, list[str]] = {}
    for text in given:
        for one in filter(None, text.split(",")):
            key, _, value = one.partition("=")
            found.setdefault(key, []).append(value.removeprefix("="))
    return found


def _usage(one: Usage) -> pb.UsageRecord:
    record = pb.UsageRecord(
        id=one.id,
        mutable=one.mutable,
        in_use=one.in_use,
        size=one.size,
        parent=next(iter(one.parents), ""),
        usage_count=one.uses,
        description=one.description,
        record_type=one.kind.value,
        shared=one.shared,
        parents=one.parents,
    )
    record.created_at.CopyFrom(status.stamp(one.created))
    record.last_used_at.CopyFrom(status.stamp(one.used))
    return record
