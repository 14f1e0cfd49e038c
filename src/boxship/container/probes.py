"""Probes: programs that the engine itself runs in a container to learn how it is."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from boxship.container.containers import Containers, running
from boxship.container.errors import NoSuchContainer, NotRunning
from boxship.container.execs import ExecConfig, Execs
from boxship.container.health import MOST_OUTPUT, ProbeTimedOut
from boxship.container.registry import Cell
from boxship.kernel import families
from boxship.model.ids import ContainerId
from boxship.shim.errors import NoSuchProcess, ShimLost
from boxship.shim.protocol import Attachment

SALT: Final = 16  # random bytes of an ID
ID_LENGTH: Final = 64
PIECE: Final = 1 << 16
OUTPUT_WITHIN: Final = 1.0  # seconds for output that comes after the end, of what was left behind


class Probes:
    """Runs probes, by the way of execs that no client sees."""

    def __init__(self, containers: Containers, execs: Execs) -> None:
        self._containers = containers
        self._execs = execs
        self.run = 0  # how many there have been
        self.failed = 0  # how many of them could not be run

    async def probe(
        self, container: ContainerId, command: Sequence[str], timeout: float
    ) -> tuple[int, bytes]:
        """Run a command and return its exit code and the first of its output.

        It is killed with its children when `timeout` seconds have passed, and ProbeTimedOut
        raised; also when the caller is cancelled.
        """
        self.run += 1
        try:
            return await self._probe(container, command, timeout)
        except (ProbeTimedOut, asyncio.CancelledError):
            raise
        except BaseException:
            self.failed += 1
            raise

    async def _probe(
        self, container: ContainerId, command: Sequence[str], timeout: float
    ) -> tuple[int, bytes]:
        config = ExecConfig(command=tuple(command), stdout=True, stderr=True)
        run = self._execs.create(container, config, new_id(container))
        run.ended = ended = asyncio.Event()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        output = bytearray()
        reading = asyncio.create_task(_read(ours, output), name=f"output of probe {run.id[:12]}")
        try:
            try:
                attachment = Attachment(stdout=True, stderr=True)
                await self._execs.start(run, attachment, theirs.fileno())
            finally:
                theirs.close()
            async with asyncio.timeout(timeout):
                await ended.wait()
            await asyncio.wait([reading], timeout=OUTPUT_WITHIN)
        except TimeoutError:
            raise ProbeTimedOut(bytes(output)) from None
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            ours.close()
            if not ended.is_set():
                await self._kill(container, run.id, run.pid)
        return (run.exit_code if run.exit_code is not None else -1), bytes(output)

    async def end_orphans(self, cell: Cell) -> None:
        """Kill the probes that a daemon which crashed has left: nobody times them any more."""
        for left in list(cell.shim.state.execs) if cell.shim else ():
            if left.exit_code is None and is_probe(cell.id, left.id):
                await self._kill(cell.id, left.id, left.pid)

    async def _kill(self, container: ContainerId, identifier: str, pid: int) -> None:
        with suppress(NoSuchContainer, NotRunning, NoSuchProcess, ShimLost):
            cell = self._containers.find(container)
            shim = running(cell)
            if pid:
                group = self._containers.cgroup(cell)
                await asyncio.to_thread(families.kill, pid, group.pids)
            await shim.signal(identifier, signal.SIGKILL)


def new_id(container: ContainerId) -> str:
    """Return an exec ID that tells a later daemon, and nobody else, that this is a probe."""
    return _id_of(container, secrets.token_hex(SALT))


def is_probe(container: ContainerId, identifier: str) -> bool:
    """Whether an exec ID was made by `new_id` for this container."""
    return identifier == _id_of(container, identifier[: 2 * SALT])


def _id_of(container: ContainerId, salt: str) -> str:
    return (salt + hashlib.sha256(f"probe {container} {salt}".encode()).hexdigest())[:ID_LENGTH]


async def _read(sock: socket.socket, output: bytearray) -> None:
    """Take what comes until its end, and keep the first of it."""
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while data := await loop.sock_recv(sock, PIECE):
            output += data[: max(0, MOST_OUTPUT - len(output))]
