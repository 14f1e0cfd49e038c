"""Where parts that do not know each other meet: small adapters from one's needs to another."""

from __future__ import annotations

import time
from dataclasses import replace

from boxship.container.defaults import Defaults
from boxship.container.registry import Registry
from boxship.model.ids import ContainerId
from boxship.network.needs import Attachable
from boxship.shim.client import Shim
from boxship.spec.engine.container import EndpointSettings


class Connected:
    """Containers, as networks ask for them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def attachable(self, ref: str) -> Attachable:
        """Return what networks want to know of a container."""
        record = self._registry.find(ref).record
        return Attachable(
            id=record.id,
            name=record.name,
            hostname=record.config.hostname or "",
            mode=record.host_config.network_mode or "",
            pid=record.run.pid if record.state.has_process else None,
            endpoints=record.endpoints,
        )

    def keep_endpoint(
        self,
        container: ContainerId,
        network: str,
        settings: EndpointSettings | None,
        shown: EndpointSettings | None,
        record: bytes | None,
    ) -> None:
        """Keep what a container is connected to; called from a worker thread."""
        cell = self._registry.find(container)
        before = cell.record
        asked, seen = dict(before.endpoints), dict(before.network.endpoints)
        for endpoints in (asked, seen):
            endpoints.pop(network, None)
        if settings is not None:
            asked[network] = settings
        if shown is not None:
            seen[network] = shown
        view = replace(before.network, endpoints=seen)
        if record is not None:
            view = replace(view, record=record)
        self._registry.put_now(cell, replace(before, endpoints=asked, network=view))


class Counted:
    """Containers, as `info` counts them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def states(self) -> list[str]:
        """Return the state of each."""
        return [str(cell.record.state.value) for cell in self._registry]


class LiveDefaults:
    """What containers get by default, read anew each time: a reload replaces `current`."""

    def __init__(self, current: Defaults) -> None:
        self.current = current

    def __getattr__(self, name: str) -> object:
        return getattr(self.current, name)


class Keepers:
    """Shims, found again by their folders."""

    async def connect(self, folder: str) -> Shim:
        """Return the shim that keeps a folder; ShimLost when there is none."""
        return await Shim.connect(folder)

    def settle(self, folder: str) -> None:
        """Bring what a lost shim kept to its end; blocks until its processes are gone."""
        # what a runtime needs is loaded only by a daemon that has to clean up
        from boxship.shim.host import ThisHost
        from boxship.shim.settle import settle

        settle(folder, ThisHost(), time.time_ns())
