"""Containers: the verbs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from boxship.container import health, names, restart, signals
from boxship.container.announce import announce
from boxship.container.background import Background
from boxship.container.bundle import cgroups_path
from boxship.container.create import Asked, Creation
from boxship.container.ending import Endings
from boxship.container.errors import (
    AlreadyStarted,
    AlreadyStopped,
    CannotStart,
    InvalidName,
    NameTaken,
    NotRunning,
    StartRefused,
    Undeliverable,
)
from boxship.container.lifecycle import Event, State, after
from boxship.container.needs import Cgroup, Cgroups, Networks, Publisher, Shim, Snapshots, Volumes
from boxship.container.record import Container, NetworkView, Run
from boxship.container.registry import Cell, Ending, Registry
from boxship.container.removal import Removal
from boxship.container.starting import Starting
from boxship.errors import BoxshipError, Conflict, InvalidRequest, NotFound
from boxship.runtime.errors import NOT_EXECUTABLE, NOT_FOUND, OTHER, StartFailed
from boxship.shim.errors import NoSuchProcess, ShimLost
from boxship.shim.protocol import INIT

KILLED_WITHIN: Final = 10.0  # seconds until a process that was sent SIGKILL must be gone
NOT_THE_PROGRAM: Final = "failed to create task for container: "


class Containers:
    """The engine's containers. All methods belong to one event loop; what reads never waits."""

    def __init__(
        self,
        *,
        registry: Registry,
        creation: Creation,
        starting: Starting,
        snapshots: Snapshots,
        networks: Networks,
        volumes: Volumes,
        cgroups: Cgroups,
        publisher: Publisher,
        background: Background,
    ) -> None:
        self.registry = registry
        self.creation = creation
        self.snapshots = snapshots
        self.background = background
        self._starting = starting
        self._networks = networks
        self._cgroups = cgroups
        self._publisher = publisher
        self._removal = Removal(
            registry, snapshots, volumes, publisher, creation.folder, self.clear_group
        )
        self._endings = Endings(
            registry, networks, volumes, publisher, background, self._removal, starting, self._again
        )
        self.pruning = False
        self.started: list[Callable[[Cell], None]] = []  # who is told of each start
        self.paused: list[Callable[[Cell], None]] = []  # of each pause, and of its end

    # ---- reading

    def find(self, ref: str) -> Cell:
        """Return a container by ID, unique prefix of one, or name."""
        return self.registry.find(ref)

    def get(self, ref: str) -> Container:
        """Return a container's record."""
        return self.registry.find(ref).record

    def folder(self, identifier: str) -> str:
        """Return the folder that is kept for a container."""
        return os.path.join(self.creation.folder, identifier)

    # ---- create and start

    async def create(self, asked: Asked) -> tuple[Container, list[str]]:
        """Make a container; return it and what to warn of."""
        cell, warnings = await self.creation.create(asked)
        announce(self._publisher, cell.record, "create")
        return cell.record, warnings

    async def start(self, ref: str) -> None:
        """Start a container's program."""
        cell = self.find(ref)
        async with cell.turn.take("start", ref):
            _check_startable(cell)
            cell.stopping = False
            try:
                await self._start(cell, failures=0, restarts=0)
            except BaseException:
                if cell.record.auto_remove:
                    await self._removal.remove(cell, volumes=True)
                raise

    async def _start(self, cell: Cell, *, failures: int, restarts: int) -> None:
        """Start, with the turn: what comes of it is kept, the failure too."""
        self._forget_plan(cell)
        try:
            shim, started, network = await self._starting.start(cell)
        except (StartFailed, BoxshipError, OSError) as failure:
            if isinstance(failure, ShimLost):
                await self._endings.clear_lost(cell)
            told, exit_code = _told(failure)
            await self._keep_failure(cell, str(told), exit_code)
            raise told from failure
        record = cell.record
        finished = record.run.finished_at  # of the run before, until this one's end is known
        run = Run(pid=started.pid, started_at=time.time_ns(), finished_at=finished)
        cell.shim = shim
        await self.registry.put(
            cell,
            replace(
                record,
                state=after(record.state, Event.STARTED),
                run=run,
                network=network,
                failures=failures,
                restart_count=restarts,
                manually_stopped=False,
                health=health.at_start(record.config),
            ),
        )
        announce(self._publisher, cell.record, "start")
        for hear in self.started:
            hear(cell)
        self._endings.listen(cell, shim)

    async def _keep_failure(self, cell: Cell, error: str, exit_code: int) -> None:
        record = cell.record
        run = replace(record.run, pid=0, exit_code=exit_code, error=error, oom_killed=False)
        await self.registry.put(
            cell,
            replace(
                record,
                state=after(record.state, Event.START_FAILED),
                run=run,
                network=NetworkView(),
            ),
        )
        self._endings.tell_exit(cell, started=False)

    def _again(self, cell: Cell, plan: restart.Again) -> None:
        """Let a container start again after a while; its state says so meanwhile."""

        async def later() -> None:
            await asyncio.sleep(plan.delay)
            async with cell.turn.take("restart", cell.id):
                if cell.record.state is not State.RESTARTING:
                    return
                cell.restarting = None
                count = cell.record.restart_count + 1
                try:
                    await self._start(cell, failures=plan.failures, restarts=count)
                except BoxshipError:
                    await self._endings.consider_restart(cell, lasted=0)

        cell.restarting = self.background.start(f"restart {cell.id[:12]}", later())

    def _forget_plan(self, cell: Cell) -> None:
        if cell.restarting is not None:
            if cell.restarting is not asyncio.current_task():
                cell.restarting.cancel()
            cell.restarting = None

    # ---- stop, kill, restart

    async def stop(self, ref: str, signal_name: str = "", timeout: int | None = None) -> None:
        """Ask the program to end, then make it; a negative timeout waits for ever."""
        cell = self.find(ref)
        number = signals.parse(signal_name or cell.record.config.stop_signal or "SIGTERM")
        if not await self._drop_plan(cell):
            if not cell.record.state.has_process:
                raise AlreadyStopped(f"container {ref} is already stopped")
            await self._mark_stopped(cell)
            await self._end(cell, number, self._patience(cell, timeout))
        announce(self._publisher, cell.record, "stop")

    def _patience(self, cell: Cell, timeout: int | None) -> float | None:
        if timeout is None:
            timeout = cell.record.config.stop_timeout
        if timeout is None:
            timeout = self.creation.defaults.stop_timeout
        return None if timeout < 0 else float(timeout)

    async def _end(self, cell: Cell, number: int, patience: float | None) -> None:
        """Bring the process to its end, SIGKILL after `patience`."""
        with contextlib.suppress(NotRunning):  # its end is about to be settled
            await self._signal(cell, number)
        if await self._wait_ended(cell, patience):
            return
        with contextlib.suppress(NotRunning):
            await self._signal(cell, signal.SIGKILL)
            if not await self._wait_ended(cell, KILLED_WITHIN):
                raise Undeliverable(
                    f"container {cell.id[:12]} PID {cell.record.run.pid} is zombie and can not be "
                    "killed. Use the --init option when creating containers to run an init inside "
                    "the container that forwards signals and reaps processes"
                )

    async def _wait_ended(self, cell: Cell, within: float | None) -> bool:
        try:
            async with asyncio.timeout(within):
                await cell.ended.wait()
        except TimeoutError:
            return False
        return True

    async def _drop_plan(self, cell: Cell) -> bool:
        """End a wait for the next restart; tell whether there was one."""
        if cell.record.state is not State.RESTARTING:
            return False
        async with cell.turn.take("stop", cell.id):
            if cell.record.state is not State.RESTARTING:
                return False
            self._forget_plan(cell)
            record = cell.record
            state = after(record.state, Event.RESTART_DROPPED)
            await self.registry.put(cell, replace(record, state=state, manually_stopped=True))
            self._endings.tell_exit(cell)
        return True

    async def _mark_stopped(self, cell: Cell) -> None:
        cell.stopping = True
        if not cell.record.manually_stopped:
            async with cell.turn.take("stop", cell.id):
                if cell.record.state.has_process:
                    await self.registry.put(cell, replace(cell.record, manually_stopped=True))

    async def kill(self, ref: str, signal_name: str = "") -> None:
        """Send a signal to the program; SIGKILL returns when it is gone.

        Where the image names no signal of its own to stop it by, each is taken for one: no restart
        policy applies when the program ends, and a frozen one goes on to hear it.
        """
        wrong = f"cannot kill container: {ref}"
        try:
            number = signals.parse(signal_name or "SIGKILL")
            cell = self.find(ref)
        except InvalidRequest as reason:
            raise InvalidRequest(f"{wrong}: {reason}") from None
        except NotFound as reason:
            raise NotFound(f"{wrong}: {reason}") from None
        if cell.record.state is State.RESTARTING:
            return
        if not cell.record.state.has_process:
            raise Conflict(f"{wrong}: container {cell.id} is not running")
        own = cell.record.config.stop_signal
        if not own or number in (signals.parse(own), signal.SIGKILL):
            await self._mark_stopped(cell)
        await self._signal(cell, number)
        if number == signal.SIGKILL:
            await self._wait_ended(cell, KILLED_WITHIN)

    async def _signal(self, cell: Cell, number: int) -> None:
        """Send a signal, and say so; a frozen process is let go on to its end."""
        shim = running(cell)
        try:
            await shim.signal(INIT, number)
        except (NoSuchProcess, ShimLost):
            raise NotRunning(cell.id) from None
        announce(self._publisher, cell.record, "kill", signal=str(int(number)))
        if cell.record.state is State.PAUSED and cell.stopping:
            with contextlib.suppress(BoxshipError):  # it has just ended, or goes on already
                await self.unpause(cell.id)

    async def restart(self, ref: str, signal_name: str = "", timeout: int | None = None) -> None:
        """Stop, where it runs, and start again."""
        cell = self.find(ref)
        if cell.record.state.has_process:
            keeps, cell.wants_removal = cell.record.auto_remove, False
            if keeps:
                self._endings.spare(cell)
            with contextlib.suppress(AlreadyStopped):
                await self.stop(ref, signal_name, timeout)
        with contextlib.suppress(AlreadyStarted):
            await self.start(cell.id)
        announce(self._publisher, cell.record, "restart")

    # ---- pause

    async def pause(self, ref: str) -> None:
        """Freeze every process of a container."""
        cell = self.find(ref)
        async with cell.turn.take("pause", ref):
            if cell.record.state is State.PAUSED:
                raise Conflict(f"container {cell.id} is already paused")
            if cell.record.state is State.RESTARTING:
                raise Conflict(
                    f"Container {ref} is restarting, wait until the container is running"
                )
            running(cell)
            await self._have(cell, self.cgroup(cell).freeze)
            await self._move(cell, Event.PAUSED)
        announce(self._publisher, cell.record, "pause")

    async def unpause(self, ref: str) -> None:
        """Let frozen processes go on."""
        cell = self.find(ref)
        async with cell.turn.take("unpause", ref):
            if cell.record.state is not State.PAUSED:
                raise BoxshipError(f"Container {cell.id} is not paused")
            await self._have(cell, self.cgroup(cell).thaw)
            await self._move(cell, Event.RESUMED)
        announce(self._publisher, cell.record, "unpause")

    async def _have(self, cell: Cell, done: Callable[[], None]) -> None:
        """Have something done to the processes; NotRunning where the last has just ended."""
        try:
            await asyncio.to_thread(done)
        except OSError as failure:
            if failure.errno not in (errno.ENOENT, errno.ENODEV):
                raise
            raise NotRunning(cell.id) from None

    async def _move(self, cell: Cell, event: Event) -> None:
        record = cell.record
        await self.registry.put(cell, replace(record, state=after(record.state, event)))
        for hear in self.paused:
            hear(cell)

    # ---- names

    async def rename(self, ref: str, name: str) -> None:
        """Give a container another name."""
        if not name:
            raise InvalidRequest("Neither old nor new names may be empty")
        cell = self.find(ref)
        async with cell.turn.take("rename", ref):
            old = cell.record.name
            try:
                new = names.checked(name)
            except InvalidName as invalid:
                raise InvalidRequest(f"Error when allocating new name: {invalid}") from None
            if new == old:
                raise InvalidRequest("Renaming a container with the same name as its current name")
            try:
                self.registry.reserve(new, cell.id)
            except NameTaken as taken:
                raise Conflict(f"Error when allocating new name: {taken}") from None
            try:
                sandbox = self._networks.renamed(cell.id, new)
                record = replace(cell.record, name=new)
                if sandbox is not None:
                    record = replace(record, network=replace(record.network, record=sandbox))
                await self.registry.put(cell, record)
            except BaseException:
                self.registry.release_name(new, cell.id)
                raise
        announce(self._publisher, cell.record, "rename", oldName=f"/{old}")

    # ---- waiting

    def wait(self, ref: str, condition: str = "") -> Awaitable[Ending]:
        """Return what will tell how it ended; begun at once, so that nothing is missed."""
        cell = self.find(ref)
        future: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        match condition or "not-running":
            case "not-running":
                if cell.record.state.has_process or cell.record.state is State.RESTARTING:
                    cell.for_exit.append(future)
                else:
                    future.set_result(Ending(cell.record.run.exit_code, cell.record.run.error))
            case "next-exit":
                cell.for_exit.append(future)
            case "removed":
                cell.for_removal.append(future)
            case _:
                raise InvalidRequest(f'invalid condition: "{condition}"')
        return future

    # ---- removing

    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container, with its anonymous volumes when asked; `force` kills it first."""
        cell = self.find(ref)
        while not await self._remove_now(cell, ref, force=force, volumes=volumes):
            pass  # it was being started again, and that can be seen and ended now

    async def _remove_now(self, cell: Cell, ref: str, *, force: bool, volumes: bool) -> bool:
        """Remove a container; False when it was started again before its turn came."""
        if force and cell.record.state.has_process:
            self._endings.spare(cell)
            await self._mark_stopped(cell)
            await self._end(cell, signal.SIGKILL, KILLED_WITHIN)
        if force:
            await self._drop_plan(cell)
        if cell.record.state is State.REMOVING and self.registry.get(cell.id):
            raise Conflict(f"removal of container {ref} is already in progress")
        async with cell.turn.take("remove", ref):
            if self.registry.get(cell.id) is not cell:
                return True
            if force and (cell.record.state.has_process or cell.record.state is State.RESTARTING):
                return False
            self._forget_plan(cell)
            await self._removal.remove(cell, volumes=volumes)
            return True

    # ---- for others of this package

    def cgroup(self, cell: Cell) -> Cgroup:
        """Return the control group of a container."""
        return self._cgroups.open(cgroups_path(cell.record, self.creation.defaults))

    def clear_group(self, record: Container) -> None:
        """Remove a control group that nothing is in; what is in use stays."""
        with contextlib.suppress(BoxshipError):  # of a parent that cannot be
            self._cgroups.remove_if_empty(cgroups_path(record, self.creation.defaults))

    def announce(self, cell: Cell, action: str, **more: str) -> None:
        """Tell of something that happened to a container."""
        announce(self._publisher, cell.record, action, **more)

    def announce_all(self, action: str, **attributes: str) -> None:
        """Tell of something that happened to no container in particular."""
        self._publisher.publish("container", action, "", attributes)

    def sizes(self, cell: Cell) -> tuple[int, int]:
        """Return the bytes a container wrote, and those with its image's; reads every folder."""
        written = self.snapshots.usage(cell.id).size
        image = self.creation.images
        try:
            chains = image.get(cell.record.image).variant.chains if cell.record.image else []
        except NotFound:
            chains = []
        layers = self.snapshots.layers()
        return written, written + sum(layers[c].size for c in chains if c in layers)

    @property
    def endings(self) -> Endings:
        return self._endings

    @property
    def removal(self) -> Removal:
        return self._removal

    def started_all(self) -> Sequence[Cell]:
        """Return the containers that have a process."""
        return [cell for cell in self.registry if cell.record.state.has_process]


def running(cell: Cell) -> Shim:
    """Return the keeper of a container that runs."""
    if not cell.record.state.has_process or cell.shim is None:
        raise NotRunning(cell.id)
    return cell.shim


def _check_startable(cell: Cell) -> None:
    match cell.record.state:
        case State.RUNNING | State.RESTARTING:
            raise AlreadyStarted(f"container {cell.id} is already running")
        case State.PAUSED:
            raise Conflict("cannot start a paused container, try unpause instead")
        case State.REMOVING | State.DEAD:
            raise Conflict("container is marked for removal and cannot be started")
        case _:
            pass


def _told(failure: Exception) -> tuple[Exception, int]:
    """Return what is told of a start that failed, and the exit code that is recorded for it."""
    if not isinstance(failure, StartFailed):
        return failure, OTHER
    message = failure.message
    if not message.startswith(NOT_THE_PROGRAM):
        message = f"{NOT_THE_PROGRAM}{message}"
    if failure.exit_code in (NOT_EXECUTABLE, NOT_FOUND):
        return CannotStart(message, failure.exit_code), failure.exit_code
    return StartRefused(message, failure.exit_code), failure.exit_code
