"""The services that clients call over gRPC, by path.

moby.buildkit.v1.Control              builds, their progress, the cache, the past
moby.buildkit.v1.frontend.LLBBridge   builds that the client drives
grpc.health.v1.Health                 is anybody there
opentelemetry's TraceService          heard and dropped
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from boxship.build.cache.record import Usage
from boxship.build.control import caps, contents, exporters, llbwriting, looking, status
from boxship.build.control.calls import answer
from boxship.build.control.calls import asked as asked_of
from boxship.build.control.contents import Contents
from boxship.build.control.gateway import Bridge
from boxship.build.control.needs import Cache
from boxship.build.control.processes import Processes
from boxship.build.control.solving import Solving
from boxship.build.running.devices import is_free
from boxship.build.session.sessions import Sessions
from boxship.content.store import Blobs
from boxship.runtime.cdi import Devices
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.buildkit import gateway_pb2 as gateway
from boxship.spec.digest import Digest
from boxship.spec.platform import Platform
from boxship.transport.http2 import Stream
from boxship.transport.tunnel import Tunnel
from boxship.wire.grpc import Code, Failed

CONTROL: Final = "/moby.buildkit.v1.Control/"
BRIDGE: Final = "/moby.buildkit.v1.frontend.LLBBridge/"
HEALTH: Final = "/grpc.health.v1.Health/Check"
TRACES: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SERVING: Final = 1
BUILD_ID: Final = "buildkit-controlapi-buildid"
PACKAGE: Final = "github.com/moby/buildkit"
VERSION: Final = "v0.23.2-moby"  # the protocol's, as clients compare it
SNAPSHOTTER: Final = "org.mobyproject.buildkit.worker.snapshotter"
EXECUTOR: Final = "org.mobyproject.buildkit.worker.executor"
HOSTNAME: Final = "org.mobyproject.buildkit.worker.hostname"


class Service:
    """Serves every connection; what is asked on one may concern what was begun on another."""

    def __init__(
        self,
        solving: Solving,
        sessions: Sessions,
        cache: Cache,
        blobs: Blobs,
        platforms: Sequence[Platform],
        *,
        id: str,
        hostname: str,
        driver: str,
        devices: Devices,
    ) -> None:
        self._solving = solving
        self._sessions = sessions
        self._cache = cache
        self._devices = devices
        self._worker = pb.Worker(
            id=id,
            labels={EXECUTOR: "native", HOSTNAME: hostname, SNAPSHOTTER: driver},
            platforms=[llbwriting.platform_message(platform) for platform in platforms],
            version=_version(),
        )
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
            f"{BRIDGE}Ping": self._ping,
            f"{BRIDGE}Solve": self._bridge_solve,
            f"{BRIDGE}Return": self._bridge_return,
            f"{BRIDGE}ResolveImageConfig": self._resolve,
            f"{BRIDGE}ResolveSourceMeta": self._resolve_source,
            f"{BRIDGE}ReadFile": self._read_file,
            f"{BRIDGE}ReadDir": self._read_folder,
            f"{BRIDGE}StatFile": self._stat_file,
            f"{BRIDGE}Evaluate": self._evaluate,
            f"{BRIDGE}Inputs": self._inputs,
            f"{BRIDGE}Warn": self._warn,
            f"{BRIDGE}NewContainer": self._new_container,
            f"{BRIDGE}ReleaseContainer": self._release_container,
            f"{BRIDGE}ExecProcess": self._exec_process,
            f"{BRIDGE}ReadFileContainer": self._read_in_container,
            f"{BRIDGE}ReadDirContainer": self._list_in_container,
            f"{BRIDGE}StatFileContainer": self._stat_in_container,
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
        built = await self._solving.solve(await asked_of(stream, pb.SolveRequest))
        await answer(stream, pb.SolveResponse(exporter_response=exporters.response(built)))

    async def _status(self, stream: Stream) -> None:
        asked = await asked_of(stream, pb.StatusRequest)
        history, job = self._solving.history, self._solving.jobs.get(asked.ref)
        if (job is None or job.done) and (logs := history.logs(asked.ref)):
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
        await answer(stream, pb.ListWorkersResponse(record=[await self._known_worker()]))

    async def _known_worker(self) -> pb.Worker:
        """Return the one worker, with the devices that the host offers now."""
        worker = pb.Worker()
        worker.CopyFrom(self._worker)
        for found in (await asyncio.to_thread(self._devices.all)).values():
            worker.devices.add(
                name=found.name,
                auto_allow=is_free(found),
                annotations=dict(found.annotations),
            )
        return worker

    async def _info(self, stream: Stream) -> None:
        await asked_of(stream, pb.InfoRequest)
        await answer(stream, pb.InfoResponse(version=_version()))

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
        async with Tunnel(stream) as tunnel:
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

    async def _bridge(self, stream: Stream) -> Bridge:
        ref = next(iter(stream.metadata.get(BUILD_ID, ())), "")
        job = await self._solving.jobs.find(ref)
        return await job.bridged()

    async def _ping(self, stream: Stream) -> None:
        await asked_of(stream, gateway.PingRequest)
        pong = gateway.PongResponse(
            frontend_caps=caps.messages(caps.GATEWAY),
            llb_caps=caps.messages(caps.LLB),
            workers=[await self._known_worker()],
        )
        await answer(stream, pong)

    async def _bridge_solve(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.SolveRequest)
        await answer(stream, await bridge.solve(asked))

    async def _bridge_return(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        bridge.take(await asked_of(stream, gateway.ReturnRequest))
        await answer(stream, gateway.ReturnResponse())

    async def _resolve(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.ResolveImageConfigRequest)
        await answer(stream, await bridge.resolve(asked))

    async def _resolve_source(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.ResolveSourceMetaRequest)
        await answer(stream, await bridge.resolve_source(asked))

    async def _read_file(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.ReadFileRequest)
        await answer(stream, await bridge.read_file(asked))

    async def _read_folder(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.ReadDirRequest)
        await answer(stream, await bridge.read_folder(asked))

    async def _stat_file(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.StatFileRequest)
        await answer(stream, await bridge.stat_file(asked))

    async def _evaluate(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.EvaluateRequest)
        await answer(stream, await bridge.evaluate(asked))

    async def _inputs(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        await asked_of(stream, gateway.InputsRequest)
        await answer(stream, bridge.inputs())

    async def _warn(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.WarnRequest)
        await answer(stream, bridge.warn(asked))

    # Containers of the bridge

    async def _new_container(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.NewContainerRequest)
        await answer(stream, await bridge.new_container(asked))

    async def _release_container(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.ReleaseContainerRequest)
        await bridge.containers.release(asked.container_id)
        await answer(stream, gateway.ReleaseContainerResponse())

    async def _exec_process(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        await Processes(bridge.containers, stream).serve()

    async def _read_in_container(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.ReadFileRequest)
        folder = bridge.containers.find(asked.ref).tree(asked.mount_index)
        await answer(stream, await asyncio.to_thread(looking.read, folder, asked))

    async def _list_in_container(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.ReadDirRequest)
        folder = bridge.containers.find(asked.ref).tree(asked.mount_index)
        await answer(stream, await asyncio.to_thread(looking.listed, folder, asked))

    async def _stat_in_container(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.StatFileRequest)
        folder = bridge.containers.find(asked.ref).tree(asked.mount_index)
        await answer(stream, await asyncio.to_thread(looking.known, folder, asked))

    # The rest

    async def _health(self, stream: Stream) -> None:
        await asked_of(stream, pb.HealthRequest)
        await answer(stream, pb.HealthResponse(status=SERVING))

    async def _traces(self, stream: Stream) -> None:
        await stream.receive()
        await stream.send(b"", end=False)


def _version() -> pb.Version:
    return pb.Version(package=PACKAGE, version=VERSION, revision="", dockerfile_version="1.17.0")


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
