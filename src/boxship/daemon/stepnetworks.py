"""The network side of builds' processes: the engine's networks, or another container's."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from boxship.container.starting import Starting, namespace_of
from boxship.model.ids import ContainerId, SandboxId
from boxship.network.networks import Networks
from boxship.network.plan import CONTAINER_MODE
from boxship.network.sandbox import Sandbox, SandboxRequest


@dataclass(frozen=True, slots=True)
class StepNetworks:
    """Fulfils the builder's `Networks`."""

    networks: Networks
    starting: Starting

    async def open_sandbox(self, request: SandboxRequest) -> Sandbox:
        """Make a process's network side ready; NotFound or Conflict where there is none to join."""
        if request.mode.startswith(CONTAINER_MODE):
            return await asyncio.to_thread(self._joined, request)
        return await self.networks.open_sandbox(request)

    async def close_sandbox(self, container: ContainerId) -> None:
        """Give back what the process's network side had; one that was joined stays."""
        await self.networks.close_sandbox(container)

    def _joined(self, request: SandboxRequest) -> Sandbox:
        other = self.starting.running(request.mode.removeprefix(CONTAINER_MODE), "network")
        files = {}
        for name in ("hosts", "resolv.conf"):
            with open(os.path.join(self.starting.folder, other.id, name), "rb") as file:
                files[name] = file.read()
        path, netns = namespace_of(other, "net")
        return Sandbox(
            id=SandboxId(""),
            key=path,
            netns=netns,
            settings={},
            ports={},
            hosts=files["hosts"],
            resolv_conf=files["resolv.conf"],
            record=b"",
        )
