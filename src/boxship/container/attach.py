"""Attach: a client's socket is given to the container's keeper, now or when it starts."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from boxship.container import output
from boxship.container.containers import Containers
from boxship.container.lifecycle import State
from boxship.container.registry import Cell, Waiting
from boxship.errors import Conflict, InvalidRequest
from boxship.logs import reader
from boxship.logs.drivers import files
from boxship.logs.formats import Format
from boxship.logs.query import Query
from boxship.shim.errors import NoSuchProcess, ShimLost, WrongMoment
from boxship.shim.protocol import INIT, Attachment

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

    Who has been told that it is attached may ask for the start at once, and gets all output. A
    client that wants the log before that, and may be slow to read it, holds nobody up.
    """
    if cell.record.state.has_process or wanted.logs:
        yield False
        return
    async with cell.turn.take("attach to", cell.id):
        yield True


async def attach(
    containers: Containers,
    cell: Cell,
    wanted: Wanted,
    fd: int,
    pending: bytes,
    *,
    has_turn: bool = False,
) -> None:
    """Connect a client; its socket `fd` is ours to close, or to give away."""
    try:
        containers.announce(cell, "attach")
        if wanted.logs:
            await _replay(containers, cell, wanted, fd)
        if not wanted.stream:
            return
        attachment = Attachment(
            stdin=wanted.stdin and bool(cell.record.config.open_stdin),
            stdout=wanted.stdout,
            stderr=wanted.stderr,
            multiplex=wanted.multiplex and not cell.record.tty,
            detach_keys=wanted.detach_keys,
            pending=pending,
        )
        async with nullcontext() if has_turn else cell.turn.take("attach to", cell.id):
            if cell.shim is not None and cell.record.state.has_process:
                await cell.shim.attach(INIT, attachment, fd)
            elif containers.registry.get(cell.id) is cell:
                _forget_gone(cell)
                cell.waiting.append(Waiting(attachment, os.dup(fd)))
    except (NoSuchProcess, ShimLost, WrongMoment, BrokenPipeError, ConnectionResetError):
        pass  # it has ended meanwhile, or the client has gone: the closed socket says so
    finally:
        os.close(fd)


async def _replay(containers: Containers, cell: Cell, wanted: Wanted, fd: int) -> None:
    path, form = log_of(containers, cell)
    if form is None:
        return
    query = Query(
        stdout=wanted.stdout,
        stderr=wanted.stderr,
        multiplex=wanted.multiplex and not cell.record.tty,
    )
    await asyncio.to_thread(_copy, reader.read(path, form, query), fd)


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
