"""Asking a running server for chores: a socket beside the storage, for its owner only.

A folder has one server at a time; who holds the lock is it. Chores on a folder that is served are
done by its server, which knows what is being pushed.

    request: one line of JSON, a Chore      answer: lines of text, then `=0` or `=1`
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from boxship.errors import BoxshipError, Conflict, Unavailable
from boxship.registry.upkeep import Chore

LOCK: Final = ".boxship-registry.lock"
SOCKET: Final = ".boxship-registry.sock"
LINE: Final = 4096

Do = Callable[[Chore], AsyncIterator[str]]


class Served(Conflict):
    """Another server has this folder."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"another registry serves {folder}")


def lock(folder: str) -> int:
    """Take a folder for this process until the descriptor is closed; Served."""
    os.makedirs(folder, exist_ok=True)
    descriptor = os.open(f"{folder}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno == errno.EWOULDBLOCK:
            raise Served(folder) from None
        raise
    return descriptor


@asynccontextmanager
async def listen(folder: str, do: Do) -> AsyncIterator[None]:
    """Answer requests for chores."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError, asyncio.LimitOverrunError):
            await _answer(reader, writer, do)
        writer.close()

    with _short_path(folder) as short:
        path = f"{short}/{SOCKET}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(answer, path, limit=LINE)
        finally:
            os.umask(mask)
    try:
        yield
    finally:
        server.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{folder}/{SOCKET}")


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, do: Do) -> None:
    chore = msgspec.json.decode(await reader.readline(), type=Chore)
    status = 0
    try:
        async for line in do(chore):
            writer.write(line.encode() + b"\n")
            await writer.drain()
    except BoxshipError as error:
        writer.write(f"{error}\n".encode())
        status = 1
    writer.write(b"=%d\n" % status)
    await writer.drain()


def ask(folder: str, chore: Chore, show: Callable[[str], object]) -> int:
    """Have the folder's server do a chore; return 0 or 1. Unavailable when none answers."""
    with _short_path(folder) as short, socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(f"{short}/{SOCKET}")
        except OSError as error:
            raise Unavailable(f"the registry that serves {folder} does not answer") from error
        connection.sendall(msgspec.json.encode(chore) + b"\n")
        with connection.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("="):
                    return int(line[1:])
                show(line.rstrip("\n"))
    raise Unavailable(f"the registry that serves {folder} has stopped in the middle")


@contextlib.contextmanager
def _short_path(folder: str) -> Iterator[str]:
    """Give a folder a name that is short enough for a socket's address."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
