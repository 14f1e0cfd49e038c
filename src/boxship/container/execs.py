"""Execs: further programs in running containers."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from boxship.container import bundle, security
from boxship.container.attach import detach_keys
from boxship.container.containers import Containers, running
from boxship.container.errors import CannotStart, NoSuchExec, NotRunning, StartRefused
from boxship.container.lifecycle import State
from boxship.container.registry import Cell
from boxship.container.users import Accounts, Identity
from boxship.errors import Conflict, InvalidRequest
from boxship.model.ids import ContainerId, ExecId
from boxship.runtime.errors import NOT_EXECUTABLE, NOT_FOUND, StartFailed
from boxship.shim.errors import NoSuchProcess, ShimLost
from boxship.shim.protocol import Attachment, ExecRequest
from boxship.spec.oci import runtime as oci

KEPT: Final = 300.0  # seconds that an exec which has ended can be asked about
NOT_THE_PROGRAM: Final = "OCI runtime exec failed: "
ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecConfig:
    """What a program shall be run with."""

    command: tuple[str, ...]
    user: str = ""
    env: tuple[str, ...] = ()
    working_dir: str = ""
    tty: bool = False
    privileged: bool = False
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    detach_keys: bytes = b""
    shown_keys: str = ""
    console_size: tuple[int, int] | None = None


@dataclass(slots=True)
class Exec:
    """One program, before, while and a while after it runs."""

    id: ExecId
    container: ContainerId
    config: ExecConfig
    has_begun: bool = False
    running: bool = False
    pid: int = 0
    exit_code: int | None = None
    ended_at: float = 0.0
    ended: asyncio.Event | None = None  # of a probe of the engine's own, which no client sees

    @property
    def is_probe(self) -> bool:
        """Whether the engine asks for itself."""
        return self.ended is not None


class Execs:
    """The execs of all containers; what has ended is forgotten in time."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._execs: dict[str, Exec] = {}
        containers.endings.exec_ended = self._on_ended
        containers.endings.exec_detached = self._on_detached
        containers.endings.before_settling.append(self._on_container_ended)

    def get(self, identifier: str) -> Exec:
        """Return an exec by its ID."""
        found = self._execs.get(identifier)
        if (
            found is None
            or found.is_probe
            or self._containers.registry.get(found.container) is None
        ):
            raise NoSuchExec(identifier)
        return found

    def of(self, container: str) -> list[str]:
        """Return the IDs of a container's execs that run."""
        return [
            e.id
            for e in self._execs.values()
            if e.container == container and e.running and not e.is_probe
        ]

    def create(self, ref: str, config: ExecConfig, identifier: str = "") -> Exec:
        """Note a program to be run; its ID is random, unless one is given."""
        if not config.command or not config.command[0]:
            raise InvalidRequest("No exec command specified")
        cell = self._ready(self._containers.find(ref))
        self._forget_old()
        made = Exec(ExecId(identifier or secrets.token_hex(32)), cell.id, config)
        self._execs[made.id] = made
        self._tell(made, "exec_create: " + " ".join(config.command))
        return made

    def check_start(self, identifier: str) -> Exec:
        """Return an exec that can be started now."""
        found = self.get(identifier)
        if found.running:
            raise Conflict(f"exec command {identifier} is already running")
        if found.has_begun:
            raise Conflict(f"exec command {identifier} has already run")
        self._ready(self._containers.find(found.container))
        return found

    async def start(self, run: Exec, attachment: Attachment | None = None, fd: int = -1) -> None:
        """Run it; a client's socket stays the caller's to close."""
        run.has_begun = True
        cell = self._containers.find(run.container)
        shim = running(cell)
        config = run.config
        try:
            process = await asyncio.to_thread(self._process, cell, config)
            request = ExecRequest(
                id=run.id,
                process=ENCODER.encode(process),
                tty=config.tty,
                open_stdin=config.stdin,
                console_size=config.console_size,
                attachments=[attachment] if attachment else [],
            )
            run.running = True
            self._tell(run, "exec_start: " + " ".join(config.command))
            started = await shim.exec(request, [fd] if attachment else [])
        except StartFailed as failure:
            self._failed(run, failure.exit_code)
            message = failure.message
            if not message.startswith(NOT_THE_PROGRAM):
                message = f"{NOT_THE_PROGRAM}{message}"
            kind = CannotStart if failure.exit_code in (NOT_EXECUTABLE, NOT_FOUND) else StartRefused
            raise kind(message, failure.exit_code) from failure
        except (NoSuchProcess, ShimLost):
            self._failed(run, NOT_EXECUTABLE)
            raise NotRunning(run.container) from None
        except BaseException:
            self._failed(run, NOT_EXECUTABLE)
            raise
        run.pid = started.pid

    def _failed(self, run: Exec, code: int) -> None:
        run.running, run.exit_code, run.ended_at = False, code, time.monotonic()
        if run.is_probe:
            self._execs.pop(run.id, None)

    def _process(self, cell: Cell, config: ExecConfig) -> oci.Process:
        record = cell.record
        who = self._identity(cell, config)
        host = self._containers.creation.host
        defaults = self._containers.creation.defaults
        wanted = record.host_config
        if config.privileged:
            bounding = host.capabilities
        else:
            bounding = security.granted(wanted, host.capabilities)
        size = config.console_size
        return oci.Process(
            terminal=config.tty,
            console_size=oci.ConsoleSize(height=size[0], width=size[1]) if size else None,
            user=bundle.user(who),
            args=list(config.command),
            env=bundle.environment(record, who, extra=config.env, tty=config.tty),
            cwd=config.working_dir or record.config.working_dir or "/",
            capabilities=security.sets(bounding, root=who.uid == 0 or config.privileged),
            rlimits=bundle.rlimits(record, defaults),
            no_new_privileges=security.no_new_privileges(wanted, defaults.no_new_privileges),
            oom_score_adj=wanted.oom_score_adj or 0,
        )

    def _identity(self, cell: Cell, config: ExecConfig) -> Identity:
        """Look the user up in the container's root, as it is now, mounts included."""
        record = cell.record
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            root = os.open(f"/proc/{record.run.pid}/root", flags)
        except FileNotFoundError:
            raise NotRunning(cell.id) from None
        try:
            user = config.user or record.config.user or ""
            return Accounts.read(root).resolve(user, record.host_config.group_add or ())
        finally:
            os.close(root)

    async def resize(self, identifier: str, height: int, width: int) -> None:
        """Set the size of an exec's terminal."""
        run = self.get(identifier)
        if not run.running:
            raise Conflict(f"exec process {identifier} is not running")
        try:
            await running(self._containers.find(run.container)).resize(run.id, height, width)
        except (NoSuchProcess, ShimLost):
            raise Conflict(f"exec process {identifier} is not running") from None

    # ---- what keepers tell

    def _on_ended(self, container: str, identifier: str, code: int) -> None:
        run = self._execs.get(identifier)
        if run is not None and run.running:
            self._end(run, code)
        cell = self._containers.registry.get(container)
        if cell is not None and cell.shim is not None:
            self._containers.background.start(
                f"forget exec {identifier[:12]}", self._forget(cell, identifier)
            )

    async def _forget(self, cell: Cell, identifier: str) -> None:
        with suppress(ShimLost, NoSuchProcess):
            if cell.shim is not None:
                await cell.shim.forget(identifier)

    def _end(self, run: Exec, code: int) -> None:
        run.running, run.exit_code, run.ended_at = False, code, time.monotonic()
        self._tell(run, "exec_die", exitCode=str(code))
        if run.ended is not None:
            run.ended.set()
            self._execs.pop(run.id, None)

    def _on_detached(self, container: str, identifier: str) -> None:
        run = self._execs.get(identifier)
        if run is not None:
            self._tell(run, "exec_detach")

    def _on_container_ended(self, cell: Cell) -> None:
        for run in list(self._execs.values()):
            if run.container == cell.id and run.running:
                self._end(run, 128 + signal.SIGKILL)

    # ---- steps

    def _ready(self, cell: Cell) -> Cell:
        match cell.record.state:
            case State.PAUSED:
                raise Conflict(
                    f"Container {cell.record.name} is paused, unpause the container before exec"
                )
            case State.RESTARTING:
                raise Conflict(
                    f"Container {cell.id} is restarting, wait until the container is running"
                )
            case _:
                running(cell)
        return cell

    def _tell(self, run: Exec, action: str, **more: str) -> None:
        cell = self._containers.registry.get(run.container)
        if cell is not None:
            self._containers.announce(cell, action, execID=run.id, **more)

    def _forget_old(self) -> None:
        limit = time.monotonic() - KEPT
        gone = [
            e.id
            for e in self._execs.values()
            if (e.ended_at and e.ended_at < limit)
            or self._containers.registry.get(e.container) is None
        ]
        for identifier in gone:
            del self._execs[identifier]


def keys_for_exec(text: str) -> bytes:
    """Read an exec's detach keys."""
    return detach_keys(text, "escape")
