"""Shims for tests: a spawner with the plain runtime, and containers that are one command."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxship.shim import protocol
from boxship.shim.client import Lost, Shim, ShimEvent, Started
from boxship.shim.protocol import Attachment
from boxship.shim.spawning import Spawner
from boxship.wire.multiplex import Demultiplexer, Stream
from tests.support.engine import PATIENCE

REPOSITORY = str(Path(__file__).resolve().parents[2])
SHELL = "/bin/busybox"


@dataclass
class Case:
    """One container: its shim, what was heard of it, and the files it leaves."""

    shim: Shim
    bundle: Path
    events: list[ShimEvent] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.bundle / "log"

    @property
    def exit_file(self) -> Path:
        return self.bundle / "exit.json"

    def exit_record(self) -> dict[str, Any]:
        return json.loads(self.exit_file.read_bytes())

    def written(self) -> str:
        return "".join(json.loads(line)["log"] for line in self.log.read_bytes().splitlines())

    async def start(self, command: str | list[str], **options: Any) -> Started:
        fds = options.pop("fds", {})
        clients = options.pop("clients", [])
        args = [SHELL, "sh", "-c", command] if isinstance(command, str) else command
        config = {"ociVersion": "1.2.0", "process": process(args, tty=options.get("tty", False))}
        (self.bundle / "config.json").write_text(json.dumps(config))
        options.setdefault("log", protocol.LogChoice("json-file", str(self.log)))
        request = protocol.StartRequest(
            bundle=str(self.bundle),
            exit_record=str(self.exit_file),
            attachments=[attachment for attachment, _ in clients],
            **options,
        )
        sockets = {f"attach.{n}": sock.fileno() for n, (_, sock) in enumerate(clients)}
        try:
            return await self.shim.start(request, {**fds, **sockets})
        finally:
            for _, sock in clients:
                sock.close()

    async def exec(self, name: str, command: str, **options: Any) -> Started:
        clients = options.pop("clients", [])
        request = protocol.ExecRequest(
            name,
            json.dumps(
                process([SHELL, "sh", "-c", command], tty=options.get("tty", False))
            ).encode(),
            attachments=[attachment for attachment, _ in clients],
            **options,
        )
        try:
            return await self.shim.exec(request, [sock.fileno() for _, sock in clients])
        finally:
            for _, sock in clients:
                sock.close()

    async def heard(self, kind: type, within: float = 10 * PATIENCE) -> Any:
        async with asyncio.timeout(within):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        return event
                await asyncio.sleep(0.002)

    async def exited(self) -> protocol.Exited:
        return await self.heard(protocol.Exited)

    async def lost(self) -> Lost:
        return await self.heard(Lost)


def process(args: list[str], *, tty: bool) -> dict[str, Any]:
    return {"args": args, "cwd": "/", "env": ["PATH=/bin:/usr/bin"], "terminal": tty}


@dataclass
class World:
    spawner: Spawner
    root: Path
    cases: list[Case] = field(default_factory=list)

    async def case(self, name: str = "c1") -> Case:
        bundle = self.root / name
        bundle.mkdir(exist_ok=True)
        shim = await self.spawner.spawn(name, str(self.root / "run" / name))
        return self.follow(Case(shim, bundle))

    def follow(self, case: Case) -> Case:
        case.shim.on_event = case.events.append
        self.cases.append(case)
        return case


@asynccontextmanager
async def world(root: Path) -> AsyncIterator[World]:
    """A spawner, with every shim gone at the end."""
    spawner = Spawner(entry="tests.support.plain_runtime", path=[REPOSITORY])
    made = World(spawner, root)
    try:
        yield made
    finally:
        for case in made.cases:
            await case.shim.close()
        await spawner.stop()
        for folder in (root / "run").glob("*"):
            await end_of(folder)


async def end_of(folder: Path) -> None:
    """Kill what a test left running in a shim's folder."""
    try:
        shim = await Shim.connect(str(folder))
        await shim.signal(protocol.INIT, 9)
        await shim.close()
    except Exception:
        pass


def client() -> tuple[socket.socket, socket.socket]:
    """A client's socket, and the other end for the shim."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10 * PATIENCE)
    return ours, theirs


async def read_all(sock: socket.socket) -> bytes:
    def read() -> bytes:
        parts = []
        while data := sock.recv(1 << 20):
            parts.append(data)
        return b"".join(parts)

    return await asyncio.to_thread(read)


async def read_until(sock: socket.socket, wanted: bytes) -> bytes:
    def read() -> bytes:
        data = b""
        while wanted not in data:
            more = sock.recv(1 << 16)
            assert more, data
            data += more
        return data

    return await asyncio.to_thread(read)


def open_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(10 * PATIENCE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


BOTH = Attachment(stdout=True, stderr=True, multiplex=True)
ALL = Attachment(stdin=True, stdout=True, stderr=True, multiplex=True)


def story(tell):
    """Run an async test that takes a World."""

    def test(tmp_path):
        async def run():
            async with world(tmp_path) as made, asyncio.timeout(60 * PATIENCE):
                await tell(made)

        asyncio.run(run())

    test.__name__ = tell.__name__
    test.__doc__ = tell.__doc__
    return test


def streams(wire: bytes) -> dict[Stream, bytes]:
    got: dict[Stream, list[bytes]] = {}
    for frame in Demultiplexer().feed(wire):
        got.setdefault(frame.stream, []).append(frame.payload)
    return {stream: b"".join(parts) for stream, parts in got.items()}
