"""What follows the end of a container's program: all is given back, then who waited is told."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from boxship.container import health, restart
from boxship.container.announce import announce
from boxship.container.background import Background
from boxship.container.lifecycle import Event, State, after
from boxship.container.needs import Networks, Publisher, Shim, Volumes
from boxship.container.record import Container, NetworkView
from boxship.container.registry import Cell, Ending, Registry
from boxship.container.removal import Removal
from boxship.container.starting import Starting
from boxship.shim import record as shim_record
from boxship.shim.client import Lost, ShimEvent
from boxship.shim.protocol import INIT, Detached, ExecExited, Exited, Oom

SECOND: Final = 1_000_000_000
KILLED: Final = 137


@dataclass(slots=True)
class Endings:
    """Hears what keepers tell, and settles it."""

    registry: Registry
    networks: Networks
    volumes: Volumes
    publisher: Publisher
    background: Background
    removal: Removal
    starting: Starting
    again: Callable[[Cell, restart.Again], None]
    exec_ended: Callable[[str, str, int], None] | None = None
    exec_detached: Callable[[str, str], None] | None = None
    lost: Callable[[str], object] | None = None  # settles a lost keeper's folder; may block
    before_settling: list[Callable[[Cell], None]] = field(default_factory=list)
    _spared: set[str] = field(default_factory=set)

    def listen(self, cell: Cell, shim: Shim) -> None:
        """Hear of what happens in a container from now on."""
        shim.on_event = lambda event: self._heard(cell, shim, event)

    def spare(self, cell: Cell) -> None:
        """Do not remove a container by itself at its next end: somebody else sees to it."""
        self._spared.add(cell.id)

    def _heard(self, cell: Cell, shim: Shim, event: ShimEvent) -> None:
        match event:
            case Exited(code=code, oom=oom, time=at):
                work = self._settle(cell, shim, code, at, oom=oom)
                self.background.start(f"end of {cell.id[:12]}", work)
            case Lost():
                self.background.start(f"loss of {cell.id[:12]}", self._settle_lost(cell, shim))
            case Oom():
                announce(self.publisher, cell.record, "oom")
            case ExecExited(id=name, code=code) if self.exec_ended:
                self.exec_ended(cell.id, name, code)
            case Detached(target=target, by_keys=True):
                if target == INIT:
                    announce(self.publisher, cell.record, "detach")
                elif self.exec_detached:
                    self.exec_detached(cell.id, target)
            case _:
                pass

    async def _settle_lost(self, cell: Cell, shim: Shim) -> None:
        """The keeper is gone: what is left of the container ends too."""
        async with cell.turn.take("settle the loss of", cell.id):
            if cell.shim is not shim:
                return
            await self.settle_lost(cell)

    async def settle_lost(self, cell: Cell) -> None:
        """End what a container without a keeper has left; settle how it ended, with the turn."""
        await self.clear_lost(cell)
        how = self._exit_record(cell)
        if how is None:
            await self._ended(cell, KILLED, time.time_ns(), oom=False)
        else:
            await self._ended(
                cell, how.exit_code, how.finished_at, oom=how.oom_killed, error=how.error
            )

    async def clear_lost(self, cell: Cell) -> None:
        """End and sweep what a killed keeper has left, with the turn."""
        if self.lost is not None:
            await asyncio.to_thread(self.lost, cell.id)

    def _exit_record(self, cell: Cell) -> shim_record.ExitRecord | None:
        path = os.path.join(self.starting.folder, cell.id, "exit.json")
        return shim_record.read_exit(path)

    async def _settle(self, cell: Cell, shim: Shim, code: int, at: int, *, oom: bool) -> None:
        async with cell.turn.take("settle the end of", cell.id):
            if cell.shim is shim:
                await self._ended(cell, code, at, oom=oom)

    async def _ended(self, cell: Cell, code: int, at: int, *, oom: bool, error: str = "") -> None:
        """Settle, with the turn: state, then what it had, then those who wait."""
        record = cell.record
        lasted = max(0, at - record.run.started_at)
        for told in self.before_settling:
            told(cell)
        shim, cell.shim = cell.shim, None
        if shim is not None:
            await shim.close()
        run = replace(
            record.run, pid=0, exit_code=code, finished_at=at, oom_killed=oom, error=error
        )
        ended = replace(
            record,
            state=after(record.state, Event.EXITED),
            run=run,
            network=NetworkView(),
            health=health.at_end(record.health),
        )
        plan = self._plan(cell, ended, lasted)
        if plan is not None:
            ended = replace(ended, state=State.RESTARTING, failures=plan.failures)
        await asyncio.to_thread(self._give_back, record, ended)
        self.networks.closed()
        self.registry.show(cell, ended)
        announce(
            self.publisher, ended, "die", execDuration=str(lasted // SECOND), exitCode=str(code)
        )
        self.tell_exit(cell)
        spared = cell.id in self._spared
        self._spared.discard(cell.id)
        if plan is not None:
            self.again(cell, plan)
        elif ended.auto_remove and not spared:
            await self.removal.remove(cell, volumes=True)

    def _plan(self, cell: Cell, ended: Container, lasted: int) -> restart.Again | None:
        return restart.after_exit(
            ended.host_config.restart_policy,
            exit_code=ended.run.exit_code,
            lasted=lasted,
            failures=ended.failures,
            restarts=ended.restart_count,
            stopped=cell.stopping or ended.manually_stopped,
        )

    async def consider_restart(self, cell: Cell, lasted: int) -> None:
        """A planned restart failed: plan the next one, where the policy wants it."""
        plan = self._plan(cell, cell.record, lasted)
        if plan is not None:
            record = replace(cell.record, state=State.RESTARTING, failures=plan.failures)
            await self.registry.put(cell, record)
            self.again(cell, plan)

    def _give_back(self, record: Container, ended: Container) -> None:
        """Give back, in a worker thread, what the container had, and keep how it ended."""
        self.networks.close_now(record.id)
        for point in record.mounts:
            if point.type == "volume":
                self.volumes.release(point.name, record.id)
        if record.host_config.ipc_mode == "shareable":
            self.starting.unshare_memory(record.id)
        self.registry.keep(ended)

    def tell_exit(self, cell: Cell, *, started: bool = True) -> None:
        """Wake who waits for the end of this run; why it never began its starter is told."""
        run = cell.record.run
        for future in cell.for_exit:
            if not future.done():
                future.set_result(Ending(run.exit_code, run.error if started else ""))
        cell.for_exit.clear()
