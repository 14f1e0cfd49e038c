"""The containers of one build that its client drives; they end with it, or when released."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from boxship.build import ops
from boxship.build.control import llb
from boxship.build.control.needs import Builder
from boxship.build.ops import Ref
from boxship.build.progress import Report
from boxship.build.request import BuildRequest
from boxship.build.running.container import Container
from boxship.errors import Conflict, InvalidRequest, NotFound
from boxship.spec.buildkit import gateway_pb2 as pb
from boxship.spec.buildkit import solver_pb2 as solver

MOST: Final = 100
MOST_MOUNTS: Final = 100


class NoSuchContainer(NotFound):
    """There is no container of this name, or no longer."""

    def __init__(self, name: str) -> None:
        super().__init__(f'container "{name[:100]}" previously released or not created')


class Containers:
    """Opens and releases them by the names that the client gives."""

    def __init__(self, builder: Builder, report: Report) -> None:
        self._builder = builder
        self._report = report
        self._open: dict[str, tuple[AsyncExitStack, Container | None]] = {}
        self._closed = False

    async def open(
        self, asked: pb.NewContainerRequest, refs: Sequence[Ref | None], request: BuildRequest
    ) -> None:
        """Mount results; `refs` are those that mounts name, in order."""
        name = asked.container_id
        if name in self._open or not name:
            raise Conflict(f"container {name[:100]} already exists")
        if len(self._open) >= MOST or len(asked.mounts) > MOST_MOUNTS:
            raise InvalidRequest("too many containers, or too many mounts in one")
        op, undo = _op_of(asked), AsyncExitStack()
        self._open[name] = undo, None
        try:
            opening = self._builder.container(op, refs, request, self._report)
            container = await undo.enter_async_context(opening)
        except BaseException:
            self._open.pop(name, None)
            raise
        if self._closed:
            await undo.aclose()
            raise NoSuchContainer(name)
        self._open[name] = undo, container

    def find(self, name: str) -> Container:
        """Return an open container."""
        _, container = self._open.get(name, (None, None))
        if container is None:
            raise NoSuchContainer(name)
        return container

    async def release(self, name: str) -> None:
        """End a container's processes and give back its mounts."""
        self.find(name)
        undo, _ = self._open.pop(name)
        await undo.aclose()

    async def close(self) -> None:
        """Release all."""
        self._closed = True
        async with AsyncExitStack() as every:
            for undo, container in self._open.values():
                if container is not None:
                    every.push_async_callback(undo.aclose)
            self._open.clear()


def _op_of(asked: pb.NewContainerRequest) -> ops.Exec:
    """Return the surroundings of a container's processes."""
    mounts, results = list[ops.Mount](), 0
    inputs = sum(bool(one.result_id) for one in asked.mounts)
    for one in asked.mounts:
        mount = solver.Mount()
        mount.CopyFrom(one)
        mount.input, mount.output = ops.SCRATCH, ops.NO_OUTPUT
        if one.result_id:
            mount.input, results = results, results + 1
        mounts.append(llb.mount_of(mount, inputs))
    return ops.Exec(
        (),
        mounts=tuple(mounts),
        network=llb.network_of(asked.network),
        hostname=asked.hostname,
        hosts=llb.hosts_of(asked.extra_hosts),
    )
