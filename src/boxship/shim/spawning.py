"""The daemon's side of the spawner: started from a sealed copy of the interpreter, kept alive."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import isal
import msgspec

import boxship
from boxship.kernel import memfd
from boxship.shim import fdsocket, protocol
from boxship.shim.client import Shim
from boxship.shim.errors import ShimLost, SpawnFailed

ENTRY: Final = "boxship.shim.entry"
STOPS_WITHIN: Final = 5.0
SPEAKS_WITHIN: Final = 60.0  # seconds for a new shim; its spawner may just be starting
ATTEMPTS: Final = 2

# What an isolated interpreter without site packages is told to do.
_PROGRAM: Final = """\
import os, sys
os.close({copy})
sys.path[:0] = {path!r}
from {entry} import main
main({control}, *{arguments!r})
"""


class Spawner:
    """Has shims forked. When the spawner dies, the next shim comes from a new one."""

    def __init__(
        self, *, entry: str = ENTRY, arguments: Sequence[str] = (), path: Sequence[str] = ()
    ) -> None:
        """`entry` is the module whose `main(descriptor, *arguments)` serves; `path` where else to
        look for it.
        """
        self._arguments = list(arguments)
        self._entry = entry
        self._path = [*path, *_own_path()]
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The spawner's process, while there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the spawner, unless it runs."""
        async with self._turn:
            if self._process is None:
                process, control = await asyncio.to_thread(self._launch)
                asyncio.get_running_loop().add_reader(control, self._on_end)
                self._process, self._control = process, control

    def _launch(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """Execute a copy of the interpreter that no container can ever write to."""
        interpreter = os.path.realpath(sys.executable)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        copy = memfd.sealed_copy(interpreter, "boxship-spawner")
        try:
            program = _PROGRAM.format(
                copy=copy,
                path=self._path,
                entry=self._entry,
                control=theirs.fileno(),
                arguments=self._arguments,
            )
            process = subprocess.Popen(
                [interpreter, "-I", "-S", "-B", "-c", program],
                executable=f"/proc/self/fd/{copy}",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(copy, theirs.fileno()),
                cwd="/",
            )
        except BaseException:
            ours.close()
            raise
        finally:
            os.close(copy)
            theirs.close()
        return process, ours

    def _on_end(self) -> None:
        """The spawner never speaks, so this is its end: make a new one when it is needed."""
        self._give_up()

    def _give_up(self) -> subprocess.Popen[bytes] | None:
        process, self._process = self._process, None
        if self._control:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        if process:
            process.poll()
        return process

    async def spawn(self, container: str, folder: str, *, alone: bool = False) -> Shim:
        """Have a container kept; its keeper makes `folder` for its socket and what it notes.

        One that is to be `alone` has a process of its own for that.
        """
        for _ in range(ATTEMPTS):
            await self.start()
            try:
                return await self._spawn(container, folder, alone)
            except ShimLost:
                continue  # the spawner died with the request, or could not fork
        raise SpawnFailed(f"no keeper could be started for container {container}")

    async def _spawn(self, container: str, folder: str, alone: bool) -> Shim:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        shim = Shim(ours, folder)
        request = protocol.Spawn(number=0, container=container, folder=folder, alone=alone)
        try:
            if self._control is None:
                raise ShimLost(folder)
            await self._send(self._control, protocol.encode(request, 1), theirs)
        except BaseException:
            await shim.close()
            raise
        finally:
            theirs.close()
        await shim.wait_hello(SPEAKS_WITHIN)
        return shim

    async def _send(self, control: socket.socket, data: bytes, passed: socket.socket) -> None:
        """Send a request. It is small: a socket that takes none of it takes all a moment later."""
        while True:
            try:
                sent = fdsocket.send(control, data, [passed.fileno()])
            except BlockingIOError:
                await asyncio.sleep(0.001)
                continue
            except OSError as failure:
                self._give_up()  # it is gone, and its end may not have been noticed yet
                raise ShimLost("the spawner") from failure
            if sent != len(data):
                self._give_up()  # half a request: nothing more can be said on this connection
                raise ShimLost("the spawner")
            return

    async def stop(self) -> None:
        """End the spawner; its shims go on."""
        async with self._turn:
            if process := self._give_up():
                await asyncio.to_thread(_wait_end, process)


def _wait_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOPS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _own_path() -> list[str]:
    """Return where the spawner's interpreter finds us and the packages that we need."""
    roots = [os.path.dirname(module.__path__[0]) for module in (boxship, msgspec, isal)]
    return list(dict.fromkeys(os.path.abspath(root) for root in roots))
