"""Runs one process as a container of its own, without the records that containers have.

    <run folder>/<id>/        config.json  hosts  resolv.conf  exit.json
    <run folder>/<id>/k/      the keeper's socket and notes

What a killed daemon leaves here is ended and removed when the next one starts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from boxship.build.needs import Keepers, Networks, Program, Programs, Shim, Spawner
from boxship.build.running.talk import Talk
from boxship.build.traces import PLACE
from boxship.errors import BoxshipError, NotFound
from boxship.lib.finishing import settled
from boxship.model.ids import ContainerId
from boxship.network.plan import CONTAINER_MODE
from boxship.network.record import BRIDGE, NONE
from boxship.network.sandbox import Sandbox, SandboxRequest
from boxship.shim import protocol
from boxship.shim.client import Lost, ShimEvent, Started
from boxship.shim.errors import NoSuchProcess, ShimLost, WrongMoment
from boxship.shim.protocol import Attachment, ExecRequest, StartRequest
from boxship.spec.oci import runtime as oci
from boxship.wire.multiplex import Demultiplexer

ENCODER: Final = msgspec.json.Encoder()
CHUNK: Final = 1 << 16
KILLED: Final = 128 + signal.SIGKILL
FILES: Final = ("/etc/hosts", "/etc/resolv.conf")
ENDS_WITHIN: Final = 10.0  # seconds for what was killed
LOOKS, PAUSE = 500, 0.01  # seconds between looks at a keeper that is dying

log = logging.getLogger(__name__)

Output = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    code: int
    oom: bool = False


class KeeperLost(Exception):
    """A process's keeper is gone; the cause is what has ended the waiting for it."""


class Runner:
    """Runs processes; what one took is given back when it has ended."""

    def __init__(
        self,
        spawner: Spawner,
        keepers: Keepers,
        networks: Networks,
        programs: Programs,
        folder: str,
    ) -> None:
        self.running: set[str] = set()
        self.place = os.path.join(folder, PLACE)
        self._spawner = spawner
        self._keepers = keepers
        self._networks = networks
        self._programs = programs
        self._folder = folder
        os.makedirs(self.place, 0o700, exist_ok=True)

    def folder_of(self, identifier: str) -> str:
        """Return the folder of a process's bundle."""
        return os.path.join(self._folder, identifier)

    async def run(
        self,
        program: Program,
        hosts: Sequence[str],
        root: int,
        mounts: Sequence[oci.Mount],
        trees: Mapping[str, int],
        output: Output,
        talk: Talk | None = None,
    ) -> Ended:
        """Run a program and wait for its end; when cancelled, kill it and wait for that.

        `trees` has detached mounts by destination; all descriptors stay the caller's. With a
        `talk` the program's output goes there.
        """
        async with AsyncExitStack() as undo:
            self.running.add(program.id)
            undo.callback(self.running.discard, program.id)
            os.mkdir(program.folder, 0o700)
            undo.callback(shutil.rmtree, program.folder, ignore_errors=True)
            keeper = os.path.join(program.folder, "k")
            keeping = asyncio.ensure_future(self._spawner.spawn(program.id, keeper))
            undo.push_async_callback(_let_go, keeping)
            sandbox = await self._sandbox(program, hosts)
            undo.push_async_callback(self._networks.close_sandbox, ContainerId(program.id))
            undo.callback(sandbox.let_go)
            self._write_bundle(program, sandbox, root, mounts)
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            with theirs:
                fds = {"root": root, "attach.0": theirs.fileno()}
                if sandbox.netns is not None:
                    fds["netns"] = sandbox.netns
                fds |= {f"tree.{target}": tree for target, tree in trees.items()}
                shim = await keeping
                request = _request(program, talk)
                try:
                    return await self._follow(shim, request, fds, ours, theirs, output, talk)
                except KeeperLost as lost:
                    await _wholly(asyncio.to_thread(self._settle, keeper))  # nobody else ends it
                    raise lost.__cause__ or lost from None

    async def join(self, shim: Shim, program: Program, root: int, talk: Talk) -> int:
        """Run one more program where another runs already; return its exit code.

        When cancelled, it is killed.
        """
        spec = self._programs.spec(program, root)
        ours, theirs = socket.socketpair()
        request = ExecRequest(
            id=talk.target,
            process=ENCODER.encode(spec.process),
            tty=talk.streams.tty,
            open_stdin=talk.streams.stdin,
            attachments=[talk.attachment],
        )
        with ours:
            with theirs:
                starting = asyncio.ensure_future(shim.exec(request, [theirs.fileno()]))
                try:
                    await asyncio.shield(starting)
                except asyncio.CancelledError:
                    await _wholly(_kill_joined(shim, starting, talk))
                    raise
            talk.begin(shim, ours)
            try:
                await talk.listen()
                code = await asyncio.shield(talk.ended)
            except asyncio.CancelledError:
                await _wholly(_kill_joined(shim, starting, talk))
                raise
        with suppress(BoxshipError):
            await shim.forget(talk.target)
        return code

    async def _sandbox(self, program: Program, hosts: Sequence[str]) -> Sandbox:
        request = SandboxRequest(
            container=ContainerId(program.id),
            name=program.id[:12],
            hostname=program.hostname,
            mode=program.network,
            extra_hosts=hosts,
        )
        try:
            return await self._networks.open_sandbox(request)
        except NotFound:
            if program.network != BRIDGE:
                raise
        return await self._networks.open_sandbox(replace(request, mode=NONE))  # --bridge=none

    def _write_bundle(
        self, program: Program, sandbox: Sandbox, root: int, mounts: Sequence[oci.Mount]
    ) -> None:
        if program.network.startswith(CONTAINER_MODE):
            program = replace(program, joined=sandbox.key)
        spec = self._programs.spec(program, root)
        spec.mounts = [*spec.mounts, *mounts]
        for name, data in (
            ("hosts", sandbox.hosts),
            ("resolv.conf", sandbox.resolv_conf),
            ("config.json", ENCODER.encode(spec)),
        ):
            with open(os.path.join(program.folder, name), "wb", buffering=0) as file:
                file.write(data)
                os.fchmod(file.fileno(), 0o600 if name == "config.json" else 0o644)

    async def _follow(
        self,
        shim: Shim,
        request: StartRequest,
        fds: Mapping[str, int],
        ours: socket.socket,
        theirs: socket.socket,
        output: Output,
        talk: Talk | None,
    ) -> Ended:
        """Start, pass the output on, and wait for the end."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Ended] = loop.create_future()
        ended.add_done_callback(lambda done: done.cancelled() or done.exception())  # if nobody asks

        def heard(event: ShimEvent) -> None:
            if ended.done():
                return
            match event:
                case protocol.Exited():
                    ended.set_result(Ended(event.code, event.oom))
                case Lost():
                    ended.set_exception(ShimLost("the process's keeper was killed"))
                case _:
                    if talk is not None:
                        talk.tell_others(event)

        starting = asyncio.ensure_future(shim.start(request, fds))
        try:
            await asyncio.shield(starting)
            theirs.close()
            shim.on_event = heard
            if talk is None:
                await _pass_on(ours, output)
            else:
                talk.begin(shim, ours)
                await talk.listen()
            return await asyncio.shield(ended)
        except BaseException as error:
            killing = asyncio.ensure_future(_kill(shim, starting, ended, heard))
            await settled(killing)
            if killing.result():
                raise KeeperLost from error
            raise

    async def recover(self) -> None:
        """End and remove what a killed daemon has left."""
        for name in os.listdir(self._folder):
            folder = self.folder_of(name)
            if folder == self.place:
                continue
            keeper = os.path.join(folder, "k")
            with suppress(ShimLost):
                shim = await self._keepers.connect(keeper)
                done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                shim.on_event = lambda event, done=done: (
                    None if done.done() else done.set_result(None)
                )
                with suppress(NoSuchProcess, WrongMoment, ShimLost):
                    await shim.signal(protocol.INIT, signal.SIGKILL)
                    async with asyncio.timeout(ENDS_WITHIN):
                        await done
                await shim.close()
            if os.path.exists(keeper):
                await asyncio.to_thread(self._settle, keeper)
            shutil.rmtree(folder, ignore_errors=True)

    def _settle(self, keeper: str) -> None:
        """End what a lost keeper has kept; it may take a moment to be gone itself."""
        for _ in range(LOOKS):
            self._keepers.settle(keeper)
            if not os.path.exists(keeper):
                return
            time.sleep(PAUSE)
        log.warning("the keeper of a build's process answers no more, but lives: %s", keeper)


def _request(program: Program, talk: Talk | None) -> StartRequest:
    heard = Attachment(stdout=True, stderr=True, multiplex=True)
    return StartRequest(
        bundle=program.folder,
        exit_record=os.path.join(program.folder, "exit.json"),
        tty=program.tty,
        open_stdin=talk is not None and talk.streams.stdin,
        stdin_once=True,
        attachments=[heard if talk is None else talk.attachment],
    )


async def _pass_on(ours: socket.socket, output: Output) -> None:
    """Read what the program writes until it is all there."""
    loop = asyncio.get_running_loop()
    ours.setblocking(False)
    frames = Demultiplexer()
    while data := await loop.sock_recv(ours, CHUNK):
        for frame in frames.feed(data):
            output(int(frame.stream), frame.payload)


async def _wholly(work: Coroutine[Any, Any, None]) -> None:
    """Do what must be done before anything else is, also when told to stop once more."""
    await settled(asyncio.ensure_future(work))


async def _kill(
    shim: Shim,
    starting: asyncio.Future[Started],
    ended: asyncio.Future[Ended],
    heard: Callable[[ShimEvent], None],
) -> bool:
    """End a process that nobody wants any more, whether or not it has begun.

    Returns whether its keeper was lost: then it may run on.
    """
    try:
        await starting
        shim.on_event = heard
        await shim.signal(protocol.INIT, signal.SIGKILL)
        async with asyncio.timeout(ENDS_WITHIN):
            await asyncio.shield(ended)
    except ShimLost:
        return True
    except (BoxshipError, TimeoutError):
        return False
    return False


async def _kill_joined(shim: Shim, starting: asyncio.Future[Started], talk: Talk) -> None:
    """End a process that runs beside another, whether or not it has begun."""
    with suppress(BoxshipError, TimeoutError):
        await starting
        await shim.signal(talk.target, signal.SIGKILL)
        async with asyncio.timeout(ENDS_WITHIN):
            await asyncio.shield(talk.ended)
        await shim.forget(talk.target)


async def _let_go(keeping: asyncio.Future[Shim]) -> None:
    """Close the connection to the keeper; one that has nothing to keep ends."""
    with suppress(BoxshipError):
        shim = await keeping
        await shim.close()
