"""Monitors: one for each container that runs and has a health check."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from boxship.container.containers import Containers
from boxship.container.errors import Busy
from boxship.container.health import Monitor, command_of, status_of
from boxship.container.lifecycle import State
from boxship.container.probes import Probes
from boxship.container.registry import Cell
from boxship.model.ids import ContainerId
from boxship.spec.engine.container import Health

LOG: Final = logging.getLogger(__name__)


class Monitors:
    """Begins and ends the monitors as containers start, are frozen, go on and end."""

    def __init__(self, containers: Containers, probes: Probes) -> None:
        self._containers = containers
        self._probes = probes
        containers.started.append(self.attend)
        containers.paused.append(self.attend)
        containers.endings.before_settling.append(self.leave)

    def attend_all(self) -> None:
        """Begin with what runs already, at a start of the daemon."""
        for cell in self._containers.started_all():
            name = f"probes left in {cell.id[:12]}"
            self._containers.background.start(name, self._probes.end_orphans(cell))
            self.attend(cell)

    def attend(self, cell: Cell) -> None:
        """Probe a container from now on, if it runs, is not frozen and wants to be probed."""
        self.leave(cell)
        record = cell.record
        command = command_of(record.config.healthcheck, record.config.shell or ())
        check = record.config.healthcheck
        if check is None or command is None or record.state is not State.RUNNING:
            return
        monitor = Monitor(cell.id, check, command, self, record.run.started_at)
        name = f"health of {cell.id[:12]}"
        cell.health = self._containers.background.start(name, monitor.run(record.health))

    def leave(self, cell: Cell) -> None:
        """Probe a container no longer; a probe that runs is killed."""
        if cell.health is not None:
            cell.health.cancel()
            cell.health = None

    # ---- what monitors ask

    async def probe(
        self, container: ContainerId, command: Sequence[str], timeout: float
    ) -> tuple[int, bytes]:
        """Run a health check's program."""
        return await self._probes.probe(container, command, timeout)

    async def set_health(self, container: ContainerId, health: Health) -> None:
        """Keep the new health, and announce a change of status."""
        cell = self._containers.registry.get(container)
        if cell is None:
            return
        try:
            async with cell.turn.take("note the health of", container):
                if cell.health is not asyncio.current_task():
                    return
                before = status_of(cell.record.health)
                await self._containers.registry.put(cell, replace(cell.record, health=health))
        except Busy as busy:  # the next probe's result is kept instead
            LOG.warning("health of %s: %s", container[:12], busy)
            return
        if (now := status_of(health)) != before:
            self._containers.announce(cell, f"health_status: {now}")
