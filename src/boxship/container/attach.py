"""Attach: a client's socket is given to the container's keeper, now or when it starts."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Final

from boxship.container import output
from boxship.container.containers import Containers
from boxship.container.lifecycle import State
from boxship.container.registry import Cell, Waiting
from boxship.errors import Conflict, InvalidRequest
from boxship.kernel import processes
from boxship.lib.threads import visited
from boxship.logs import reader
from boxship.logs.drivers import files
from boxship.logs.formats import Format
from boxship.logs.query import Query
from boxship.shim.errors import NoSuchProcess, ShimLost, WrongMoment
from boxship.shim.protocol import INIT, Attachment

PIECE: Final = 1 << 16
NOTED_WITHIN: Final = 10.0  # seconds
DEFAULT_KEYS: Final = b"\x10\x11"
CONTROL: Final = {**{chr(97 + n): n + 1 for n in range(26)}, "@": 0, "[": 27, "\\": 28, "]": 29,
                  "^": 30, "_": 31}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which streams a client wants, and whether what was said before too."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    logs: bool = False
    stream: bool = False
    multiplex: bool = True
    detach_keys: bytes = DEFAULT_KEYS


def detach_keys(text: str, what: str = "detach") -> bytes:
    """Read `ctrl-p,ctrl-q`; empty is the default."""
    if not text:
        return DEFAULT_KEYS
    found = bytearray()
    for word in text.split(","):
        key = word.removeprefix("ctrl-")
        if word.startswith("ctrl-") and key in CONTROL:
            found.append(CONTROL[key])
        elif len(word) == 1 and word.isascii():
            found += word.encode()
        else:
            raise InvalidRequest(f"Invalid {what} keys ({text}) provided")
    return bytes(found)


def check(containers: Containers, ref: str) -> Cell:
    """Return a container that can be attached to."""
    cell = containers.find(ref)
    match cell.record.state:
        case State.PAUSED:
            raise Conflict(f"container {cell.id} is paused, unpause the container before attach")
        case State.RESTARTING:
            raise Conflict(
                f"container {cell.id} is restarting, wait until the container is running"
            )
        case _:
            return cell


@asynccontextmanager
async def unstarted(cell: Cell, wanted: Wanted) -> AsyncIterator[bool]:
    """Keep a container that does not run from being started, and tell whether it is so.

    Who has been told that it is attached may ask for the start at once, and gets all output. So an
    end that has come is noted first.
    """
    if wanted.stream and cell.record.state.has_process:
        await _end_noted(cell)
    if cell.record.state.has_process or not wanted.stream:
        yield False
        return
    async with cell.turn.take("attach to", cell.id):
        yield True


async def _end_noted(cell: Cell) -> None:
    """Wait, a little, until it is known of a process that has ended."""
    if not processes.is_alive(cell.record.run.pid):
        with suppress(TimeoutError):
            async with asyncio.timeout(NOTED_WITHIN):
                await cell.ended.wait()


async def attach(
    containers: Containers,
    cell: Cell,
    wanted: Wanted,
    fd: int,
    pending: bytes,
    *,
    has_turn: bool = False,
) -> None:
    """Connect a client; its socket `fd` is ours to close, or to give away.

    One that wants the log first is connected first, through us: what comes meanwhile waits.
    """
    with socket.socket(fileno=fd) as client:
        containers.announce(cell, "attach")
        attachment = Attachment(
            stdin=wanted.stdin and bool(cell.record.config.open_stdin),
            stdout=wanted.stdout,
            stderr=wanted.stderr,
            multiplex=wanted.multiplex and not cell.record.tty,
            detach_keys=wanted.detach_keys,
            pending=pending,
        )
        path, form = log_of(containers, cell)
        logged = form if wanted.logs and os.path.exists(path) else None
        with ExitStack() as undo:
            given, stream = client, None
            if logged is not None and wanted.stream:
                stream, given = map(undo.enter_context, socket.socketpair())
            if wanted.stream:
                turn = nullcontext() if has_turn else cell.turn.take("attach to", cell.id)
                async with turn:
                    await _connect(containers, cell, attachment, given.fileno())
            if logged is not None:
                pieces = reader.read(path, logged, _until_now(attachment))
                work = _log_first(pieces, client.dup(), stream.dup() if stream else None)
                containers.background.start(f"attach to {cell.id[:12]}", work)


async def _connect(containers: Containers, cell: Cell, attachment: Attachment, fd: int) -> None:
    """Give a client to the keeper, now or when there is one."""
    try:
        if cell.shim is not None and cell.record.state.has_process:
            await cell.shim.attach(INIT, attachment, fd)
        elif containers.registry.get(cell.id) is cell:
            _forget_gone(cell)
            cell.waiting.append(Waiting(attachment, os.dup(fd)))
    except (NoSuchProcess, ShimLost, WrongMoment, BrokenPipeError, ConnectionResetError):
        pass  # it has ended meanwhile, or the client has gone: the closed socket says so


def _until_now(attachment: Attachment) -> Query:
    """Ask for what was logged until a client was connected; what came just then comes twice."""
    return Query(
        stdout=attachment.stdout,
        stderr=attachment.stderr,
        until=time.time_ns(),
        multiplex=attachment.multiplex,
    )


async def _log_first(
    pieces: Iterable[bytes], client: socket.socket, stream: socket.socket | None
) -> None:
    """Send a client the log, and then what comes by `stream`; both are ours to close."""
    with client, stream or nullcontext():
        client.setblocking(False)
        with suppress(BrokenPipeError, ConnectionResetError):
            await visited("replay a log", lambda: _copy(pieces, client.fileno()))
            if stream is None:
                return
            stream.setblocking(False)
            typing = asyncio.ensure_future(_pass_on(client, stream))
            try:
                await _pass_on(stream, client)
            finally:
                typing.cancel()
                await asyncio.gather(typing, return_exceptions=True)


async def _pass_on(source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, PIECE):
        await loop.sock_sendall(target, data)
    with suppress(OSError):  # the other side has gone
        target.shutdown(socket.SHUT_WR)


def log_of(containers: Containers, cell: Cell) -> tuple[str, Format | None]:
    """Return where a container's log is and how it is written; no form when it has none."""
    log = cell.record.host_config.log_config
    driver = files.driver((log.type if log else None) or "")
    return output.path(cell.record, containers.folder(cell.id)), driver.format()


def _copy(pieces: Iterable[bytes], fd: int) -> None:
    """Write to a socket that does not block by itself; a client that does not read holds it up."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    for piece in pieces:
        view = memoryview(piece)
        while view:
            try:
                view = view[os.write(fd, view) :]
            except BlockingIOError:
                poll.poll()


def _forget_gone(cell: Cell) -> None:
    """Close the sockets of clients that did not wait for the start."""
    kept = []
    for waiting in cell.waiting:
        poll = select.poll()
        poll.register(waiting.fd, 0)
        if poll.poll(0):  # POLLHUP: gone, not only done with its input
            os.close(waiting.fd)
        else:
            kept.append(waiting)
    cell.waiting[:] = kept
