"""Recovery: what a daemon that starts makes of containers that lived on, or died, without it."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from boxship.container import restart
from boxship.container.containers import Containers
from boxship.container.ending import Endings
from boxship.container.lifecycle import Event, State, after
from boxship.container.needs import Images, Keepers, Networks, Shim, Snapshots, Volumes
from boxship.container.record import Container
from boxship.container.registry import Cell, Registry
from boxship.errors import BoxshipError, NotFound
from boxship.model.ids import ContainerId
from boxship.shim import record as shim_record
from boxship.shim.errors import ShimLost

LOG: Final = logging.getLogger(__name__)
MOMENT: Final = 0.1  # seconds that a daemon's start waits for what it ends
DYING_LOOKS, DYING_PAUSE = 250, 0.02  # how often, and seconds between, to look for its end


@dataclass(frozen=True, slots=True)
class Recovery:
    """Settles everything once, before the daemon answers."""

    containers: Containers
    registry: Registry
    images: Images
    networks: Networks
    volumes: Volumes
    snapshots: Snapshots
    keepers: Keepers
    folder: str
    run_folder: str
    shm_folder: str

    @property
    def endings(self) -> Endings:
        return self.containers.endings

    async def recover(self) -> list[Cell]:
        """Own again what runs, settle what has ended, clear what belongs to nobody.

        Returns the containers to be started now, by their restart policies.
        """
        self.endings.lost = self._settle_folder
        found = await self._find_keepers()
        alive = {cell.id: keeper for cell, keeper in found if keeper is not None}
        await self._restore_parts(alive)
        for identifier, shim in alive.items():
            cell = self.registry.find(identifier)
            cell.shim = shim
            self.endings.listen(cell, shim)
        await self._for_a_moment(
            (f"end of {cell.id[:12]}", self._settle_end(cell))
            for cell, shim in found
            if shim is None
        )
        await asyncio.to_thread(self._clear_orphans)
        await asyncio.to_thread(self._mend_filesystems)
        for cell in self.registry:
            await self._finish_interrupted(cell)
        return [cell for cell in self.registry if self._starts_again(cell.record)]

    # ---- keepers

    async def _find_keepers(self) -> list[tuple[Cell, Shim | None]]:
        """Return every container that ran, with its keeper where there still is one."""
        cells = [cell for cell in self.registry if cell.record.state.has_process]
        shims = await asyncio.gather(*map(self._connect, cells))
        found = list(zip(cells, shims, strict=True))
        known = {cell.id for cell, shim in found if shim is not None}
        names = await asyncio.to_thread(_listed, self.run_folder)
        await self._for_a_moment(
            (f"end of {name[:12]}", self._end_unknown(name)) for name in names if name not in known
        )
        return found

    async def _for_a_moment(self, works: Iterable[tuple[str, Coroutine[Any, Any, None]]]) -> None:
        """Wait until all is done, but not for long: what takes time goes on by itself.

        A killed process is gone when those that it leaves behind were waited for, by whoever adopts
        them. Until then its container has its turn taken.
        """
        tasks = [self.containers.background.start(name, work) for name, work in works]
        if tasks:
            await asyncio.wait(tasks, timeout=MOMENT)

    async def _connect(self, cell: Cell) -> Shim | None:
        folder = os.path.join(self.run_folder, cell.id)
        try:
            shim = await self.keepers.connect(folder)
        except ShimLost:
            return None
        if shim.state.pid != cell.record.run.pid:
            await shim.close()  # of a start that nobody was told of
            return None
        return shim

    async def _end_unknown(self, name: str) -> None:
        """A keeper whose container is not known to run: a start that was never answered."""
        cell = self.registry.get(ContainerId(name))
        if cell is None:
            await self._end_keeper(name)
            return
        async with cell.turn.take("settle the start of", cell.id):
            await self._end_keeper(name)

    async def _end_keeper(self, name: str) -> None:
        folder = os.path.join(self.run_folder, name)
        try:
            shim = await self.keepers.connect(folder)
        except ShimLost:
            pass
        else:
            if shim.state.pid:
                ended = asyncio.Event()
                shim.on_event = lambda event: ended.set()
                await shim.signal("init", 9)
                try:
                    async with asyncio.timeout(10):
                        await ended.wait()
                except TimeoutError:
                    LOG.warning("container %s does not end", name)
            await shim.close()
        try:
            await asyncio.to_thread(self._settle_folder, name)
        except FileNotFoundError:  # all is killed by then; the exit record has no place any more
            await asyncio.to_thread(shim_record.remove_folder, folder)

    def _settle_folder(self, identifier: str) -> None:
        """Bring what a lost keeper kept to its end; it may take a moment to be gone itself."""
        folder = os.path.join(self.run_folder, identifier)
        for _ in range(DYING_LOOKS):
            self.keepers.settle(folder)
            if not os.path.exists(folder):
                return
            time.sleep(DYING_PAUSE)
        LOG.warning("the keeper of container %s answers no more, but lives", identifier)

    # ---- parts

    async def _restore_parts(self, alive: dict[ContainerId, Shim]) -> None:
        records = [self.registry.find(identifier).record for identifier in alive]
        acquired: dict[str, list[str]] = {}
        for record in records:
            for point in record.mounts:
                if point.type == "volume":
                    acquired.setdefault(point.name, []).append(record.id)
        await asyncio.to_thread(self.volumes.restore, acquired)
        troubles = await self.networks.restore(
            {record.id: record.network.record for record in records if record.network.record},
            {record.id: record.run.pid for record in records},
        )
        for trouble in troubles:
            LOG.warning("networks: %s", trouble)

    async def _settle_end(self, cell: Cell) -> None:
        async with cell.turn.take("settle the end of", cell.id):
            await self.endings.settle_lost(cell)

    # ---- what a crash left half done

    def _clear_orphans(self) -> None:
        known = {cell.id for cell in self.registry}
        for name in _listed(self.folder):
            if name not in known:
                shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)
        for key in self.snapshots.keys():  # noqa: SIM118
            if len(key) == 64 and key not in known:
                self.snapshots.remove(key)
        running = {cell.id for cell in self.registry if cell.record.state.has_process}
        for name in _listed(self.shm_folder):
            if name not in running:
                self.endings.starting.unshare_memory(name)

    def _mend_filesystems(self) -> None:
        """Begin filesystems anew that a power cut, soon after they were made, has damaged."""
        for cell in self.registry:
            if cell.record.state.has_process or cell.record.state in (State.REMOVING, State.DEAD):
                continue
            try:
                self.snapshots.mount_info(cell.id)
            except NotFound:
                try:
                    self._begin_filesystem(cell)
                except (BoxshipError, OSError) as failure:
                    LOG.warning("container %s has no filesystem: %s", cell.id, failure)
                else:
                    LOG.warning("container %s has lost its filesystem; it begins anew", cell.id)

    def _begin_filesystem(self, cell: Cell) -> None:
        chain = self.images.get(cell.record.image).chain_id if cell.record.image else None
        self.snapshots.remove(cell.id)
        self.snapshots.prepare(cell.id, chain)

    async def _finish_interrupted(self, cell: Cell) -> None:
        record = cell.record
        if record.state in (State.REMOVING, State.DEAD):
            async with cell.turn.take("remove", cell.id):
                try:
                    await self.containers.removal.remove(cell, volumes=record.auto_remove)
                except OSError as failure:
                    LOG.warning("container %s cannot be removed: %s", cell.id, failure)
        elif record.state is State.RESTARTING:
            state = after(record.state, Event.RESTART_DROPPED)
            await self.registry.put(cell, replace(record, state=state))
        elif record.auto_remove and record.state is State.EXITED:
            async with cell.turn.take("remove", cell.id):
                await self.containers.removal.remove(cell, volumes=True)

    def _starts_again(self, record: Container) -> bool:
        return record.state is State.EXITED and restart.at_daemon_start(
            record.host_config.restart_policy,
            manually_stopped=record.manually_stopped,
            ran_before=bool(record.run.started_at),
            exit_code=record.run.exit_code,
        )


async def start_again(containers: Containers, cells: list[Cell]) -> None:
    """Start what recovery says; one that cannot start keeps no other from it."""
    for cell in cells:
        try:
            await containers.start(cell.id)
        except BoxshipError as failure:
            LOG.warning("container %s does not start again: %s", cell.record.name, failure)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
