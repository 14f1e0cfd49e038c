"""Removal: what is kept for a container goes, step by step; begun again, it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

from boxship.container.announce import announce
from boxship.container.errors import StillRunning
from boxship.container.lifecycle import Event, State, after
from boxship.container.needs import Publisher, Snapshots, Volumes
from boxship.container.record import Container
from boxship.container.registry import Cell, Ending, Registry
from boxship.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Removal:
    """Removes containers; whoever calls has the container's turn."""

    registry: Registry
    snapshots: Snapshots
    volumes: Volumes
    publisher: Publisher
    folder: str
    clear_group: Callable[[Container], None]

    async def remove(self, cell: Cell, *, volumes: bool) -> None:
        """Remove a container that has no process; one that cannot go is dead, and says why."""
        record = cell.record
        if record.state.has_process or record.state is State.RESTARTING:
            raise StillRunning(record.name, paused=record.state is State.PAUSED)
        record = replace(record, state=after(record.state, Event.REMOVAL_BEGUN))
        self.registry.show(cell, record)
        try:
            await asyncio.to_thread(self._remove, record)
        except OSError as failure:
            run = replace(record.run, error=f"error removing container: {failure}")
            dead = replace(record, state=after(record.state, Event.REMOVAL_FAILED), run=run)
            await self.registry.put(cell, dead)
            raise
        self.registry.forget(cell)
        if volumes:
            await asyncio.to_thread(self._remove_volumes, record)
        self._close_waiting(cell)
        announce(self.publisher, record, "destroy")
        for future in (*cell.for_removal, *cell.for_exit):
            if not future.done():
                future.set_result(Ending(record.run.exit_code))

    def _remove(self, record: Container) -> None:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(os.path.join(self.folder, record.id))
        self.snapshots.remove(record.id)
        self.clear_group(record)  # its keeper waited for the last to end, but not for ever
        self.registry.lose(record.id)

    def _remove_volumes(self, record: Container) -> None:
        for point in record.mounts:
            if point.type == "volume" and point.anonymous:
                with contextlib.suppress(NotFound, Conflict):  # another container may have it
                    self.volumes.remove(point.name)

    def _close_waiting(self, cell: Cell) -> None:
        while cell.waiting:
            os.close(cell.waiting.pop().fd)
