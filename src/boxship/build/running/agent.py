"""The client's ssh agent as a socket in a process's files: each connection leads there."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress

from boxship.build.needs import ClientSession, Pipe
from boxship.errors import BoxshipError, NotFound

CHUNK = 1 << 14


class Agent:
    """A listening socket."""

    def __init__(self, sessions: Sequence[ClientSession], identifier: str) -> None:
        self._sessions = sessions
        self._id = identifier
        self._folder = ""
        self._server: asyncio.Server | None = None

    async def listen(self, uid: int, gid: int, mode: int) -> str:
        """Begin to listen; return where."""
        self._folder = tempfile.mkdtemp(prefix="boxship-ssh-")
        path = os.path.join(self._folder, "agent")
        try:
            self._server = await asyncio.start_unix_server(self._joined, path)
            os.chown(path, uid, gid)
            os.chmod(path, mode)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return path

    async def close(self) -> None:
        """Stop, and remove the socket."""
        if self._server is not None:
            self._server.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def is_offered(self) -> bool:
        """Whether a client has such an agent."""
        try:
            pipe = await self._agent()
        except BoxshipError:
            return False
        await pipe.close()
        return True

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            pipe = await self._agent()
            try:
                async with asyncio.TaskGroup() as tasks:
                    answers = tasks.create_task(_back(pipe, writer))
                    while data := await reader.read(CHUNK):
                        await pipe.write(data)
                    answers.cancel()
            finally:
                await pipe.close()
        except* (BoxshipError, OSError):
            pass  # the process sees an agent that hangs up
        finally:
            writer.close()

    async def _agent(self) -> Pipe:
        failed: BoxshipError = NotFound(f"no ssh agent {self._id!r} is forwarded by the client")
        for session in self._sessions:
            try:
                return await session.agent(self._id)
            except BoxshipError as error:
                failed = error
        raise failed


async def _back(pipe: Pipe, writer: asyncio.StreamWriter) -> None:
    while data := await pipe.read():
        writer.write(data)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()
