"""A container of a client's: processes on solved results, with which the client talks.

The first process makes the container, with its namespaces and network; those after it join it for
as long as the first runs, as `docker exec` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from boxship.build.ops import ROOT, Exec
from boxship.build.running.execution import Asked, Executions, Prepared
from boxship.build.running.talk import Talk
from boxship.errors import Conflict, NotSupported
from boxship.shim import protocol
from boxship.shim.client import ShimEvent

KILLED = 137


class Stopped(Conflict):
    """The container was released, or its first process has ended."""

    def __init__(self) -> None:
        super().__init__("the container has stopped")


class Container:
    """Mounts that processes are run in, one after or beside another."""

    def __init__(self, executions: Executions, op: Exec, asked: Asked, prepared: Prepared) -> None:
        self.op = op
        self._executions = executions
        self._asked = asked
        self._prepared = prepared
        self._first: Talk | None = None
        self._joined: dict[str, Talk] = {}
        self._tasks: set[asyncio.Task[int]] = set()
        self._closed = False

    async def run(self, op: Exec, talk: Talk) -> int:
        """Run a process to its end and return its exit code; when cancelled, kill it."""
        if self._closed:
            raise Stopped
        task = asyncio.ensure_future(self._run(op, talk))
        self._tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is None or not caller.cancelling():
                raise Stopped from None
            raise
        finally:
            self._tasks.discard(task)

    async def _run(self, op: Exec, talk: Talk) -> int:
        if self._first is None:
            self._first, talk.others, talk.target = talk, self._heard, protocol.INIT
            return await self._run_first(op, talk)
        await asyncio.shield(self._first.begun)
        shim = self._first.shim
        if shim is None or self._first.ended.done():
            raise Stopped
        self._joined[talk.target] = talk
        try:
            return await self._executions.join(op, self._asked, self._prepared, shim, talk)
        finally:
            self._joined.pop(talk.target, None)

    async def _run_first(self, op: Exec, talk: Talk) -> int:
        code = KILLED
        try:
            code = (await self._executions.run(op, self._asked, self._prepared, talk)).code
            return code
        finally:
            talk.ended.set_result(code)
            if not talk.begun.done():  # it never ran, so nobody can join it
                talk.begun.set_result(None)
            for other in self._joined.values():
                _end(other, KILLED)  # the kernel has ended them with the first

    def _heard(self, event: ShimEvent) -> None:
        if isinstance(event, protocol.ExecExited) and (talk := self._joined.get(event.id)):
            _end(talk, event.code)

    def tree(self, number: int) -> str:
        """Return a mount as a folder to look into, by its number."""
        if not 0 <= number < len(self.op.mounts):
            raise NotSupported(f"the container has no mount {number}")
        target = self.op.mounts[number].target
        found = self._prepared.root if target == ROOT else self._prepared.trees.get(target)
        if found is None:
            raise NotSupported(f"the mount at {target} cannot be looked into")
        return f"/proc/self/fd/{found}"

    async def close(self) -> None:
        """End all processes, and wait for that."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


@asynccontextmanager
async def opened(executions: Executions, op: Exec, asked: Asked) -> AsyncIterator[Container]:
    """A container with the mounts of `op`, for as long as the block goes on."""
    async with AsyncExitStack() as undo:
        prepared = await executions.prepare(op, asked, undo)
        container = Container(executions, op, asked, prepared)
        undo.push_async_callback(container.close)
        yield container


def _end(talk: Talk, code: int) -> None:
    if not talk.ended.done():
        talk.ended.set_result(code)
