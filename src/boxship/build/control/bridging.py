"""The calls of the bridge, as they come from a client's connection or from a frontend's image.

moby.buildkit.v1.frontend.LLBBridge   builds that are driven from the other side
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from boxship.build.control import caps, looking
from boxship.build.control.calls import answer
from boxship.build.control.calls import asked as asked_of
from boxship.build.control.gateway import Bridge
from boxship.build.control.processes import Processes
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.buildkit import gateway_pb2 as gateway
from boxship.transport.http2 import Stream

BRIDGE: Final = "/moby.buildkit.v1.frontend.LLBBridge/"

Call = Callable[[Stream], Awaitable[None]]


class BridgeCalls:
    """Answers them; `find` says which build a call belongs to, `worker` who builds."""

    def __init__(
        self,
        find: Callable[[Stream], Awaitable[Bridge]],
        worker: Callable[[], Awaitable[pb.Worker]],
    ) -> None:
        self._bridge = find
        self._worker = worker
        self.calls: Mapping[str, Call] = {
            f"{BRIDGE}{name}": call
            for name, call in {
                "Ping": self._ping,
                "Solve": self._solve,
                "Return": self._return,
                "ResolveImageConfig": self._resolve,
                "ResolveSourceMeta": self._resolve_source,
                "ReadFile": self._read_file,
                "ReadDir": self._read_folder,
                "StatFile": self._stat_file,
                "Evaluate": self._evaluate,
                "Inputs": self._inputs,
                "Warn": self._warn,
                "NewContainer": self._new_container,
                "ReleaseContainer": self._release_container,
                "ExecProcess": self._exec_process,
                "ReadFileContainer": self._read_in_container,
                "ReadDirContainer": self._list_in_container,
                "StatFileContainer": self._stat_in_container,
            }.items()
        }

    async def _ping(self, stream: Stream) -> None:
        await asked_of(stream, gateway.PingRequest)
        pong = gateway.PongResponse(
            frontend_caps=caps.messages(caps.GATEWAY),
            llb_caps=caps.messages(caps.LLB),
            workers=[await self._worker()],
        )
        await answer(stream, pong)

    async def _solve(self, stream: Stream) -> None:
        bridge = await self._bridge(stream)
        asked = await asked_of(stream, gateway.SolveRequest)
        await answer(stream, await bridge.solve(asked))

    async def _return(self, stream: Stream) -> None:
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
