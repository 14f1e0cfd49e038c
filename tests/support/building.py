"""An engine's parts inside the test's own process, for what the builder does without a door."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxship.api.building import Building
from boxship.build import ops
from boxship.build.builder import Builder
from boxship.build.ops import About, Action, Bind, Copy, Exec, Files, Ref, Source, Vertex
from boxship.build.progress import Output, Told, VertexState
from boxship.build.request import BuildRequest, Built, Dockerfile, Graph, Target
from boxship.daemon import config as configuration
from boxship.daemon import wiring
from tests.support import ledger
from tests.support.engine import PATIENCE


@dataclass
class Heard:
    """What a build told."""

    told: list[Told] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, word: Told) -> None:
        self.told.append(word)
        self.more.set()

    async def wait(self, text: str) -> None:
        """Wait until a process has written `text`."""
        async with asyncio.timeout(60 * PATIENCE):
            while text not in self.output:
                self.more.clear()
                await self.more.wait()

    @property
    def output(self) -> str:
        """All that processes wrote."""
        data = b"".join(word.data for word in self.told if isinstance(word, Output))
        return data.decode(errors="replace")

    def state(self, name: str) -> VertexState:
        """Return the last state of the vertex called `name`."""
        states = [w for w in self.told if isinstance(w, VertexState) and w.name == name]
        return states[-1]

    def ran(self) -> list[str]:
        """Return the names of the vertices that were done, and not found in the cache."""
        last = {w.name: w for w in self.told if isinstance(w, VertexState)}
        return [name for name, state in last.items() if not state.cached and state.completed]


@dataclass
class Workshop:
    """A builder and the parts around it."""

    engine: wiring.Engine
    root: Path
    builder: Builder

    async def build(self, root: Ref | None, heard: Heard | None = None, **more: Any) -> Built:
        """Build a graph's result into an image."""
        request = BuildRequest(frontend=Graph((Target(root),)), **more)
        return await self.builder.build(request, heard or Heard())

    async def dockerfile(
        self, text: str, context: str = "", heard: Heard | None = None, **more: Any
    ) -> Built:
        """Build a Dockerfile."""
        request = BuildRequest(
            frontend=Dockerfile(text.encode()),
            context=context,
            **more,
        )
        return await self.builder.build(request, heard or Heard())

    def read(self, image: str, path: str) -> bytes:
        """Return a file of an image."""
        found = self.engine.images.get(image)
        snapshots = self.builder.filesystems._snapshots
        mounted = snapshots.view(found.chain_id)
        try:
            opened = os.open(path.lstrip("/"), os.O_RDONLY, dir_fd=mounted)
            with open(opened, "rb") as file:
                return file.read()
        finally:
            os.close(mounted)


@asynccontextmanager
async def workshop(number: int, root: Path | None = None) -> AsyncIterator[Workshop]:
    """An engine's parts with private roots; whoever gives a root removes it."""
    place = root or Path(tempfile.mkdtemp(prefix=f"bxw{number}-", dir="/tmp"))
    config_file = place / "daemon.json"
    config_file.touch()
    words = [
        "--data-root", f"{place}/data", "--exec-root", f"{place}/x",
        "--config-file", str(config_file), "--bridge", f"bxw{number:05}",
        "--bip", f"10.{150 + number % 50}.{number // 50}.1/24",
        "--cgroup-parent", f"/boxship-test-w{number:05}",
    ]  # fmt: skip
    os.makedirs(place / "data", exist_ok=True)
    flags = configuration.parse_flags(words)
    config = configuration.load(flags, {})
    try:
        async with AsyncExitStack() as undo:
            folders = wiring.Folders(config.data_root, config.exec_root)
            engine = await wiring.build(config, folders, dict(os.environ), undo)
            building = engine.parts[Building]
            assert isinstance(building, Building)
            yield Workshop(engine, place, (await building.tools()).builder)
    finally:
        await asyncio.to_thread(ledger.sweep_groups, f"boxship-test-w{number:05}")
        words = ["ip", "link", "del", f"bxw{number:05}"]
        await asyncio.to_thread(subprocess.run, words, capture_output=True, check=False)
        if root is None:
            await asyncio.to_thread(shutil.rmtree, place, True)


def image(name: str) -> Ref:
    """An image's files."""
    return Ref(
        Vertex(Source(f"docker-image://{name}"), about=About(name=f"[internal] load {name}"))
    )


def run(
    base: Ref | None,
    command: str,
    name: str = "",
    *,
    mounts: Sequence[ops.Mount] = (),
    inputs: Sequence[Ref] = (),
    **more: Any,
) -> Ref:
    """A shell command on top of a result."""
    below = () if base is None else (base,)
    root = Bind("/", 0 if base else ops.SCRATCH, output=0)
    op = Exec(("/bin/sh", "-c", command), mounts=(root, *mounts), **more)
    return Ref(Vertex(op, (*below, *inputs), about=About(name=name or f"RUN {command}")))


def copy(base: Ref | None, source: Ref, path: str, target: str, name: str = "", **more: Any) -> Ref:
    """A COPY on top of a result."""
    inputs = (*(() if base is None else (base,)), source)
    usual = {"follow_links": True, "contents_only": True, "make_parents": True, "wildcard": True}
    does = Copy(path, target, **{**usual, **more})
    action = Action(does, 0 if base else ops.SCRATCH, len(inputs) - 1, 0)
    return Ref(Vertex(Files((action,)), inputs, about=About(name=name or f"COPY {path} {target}")))
