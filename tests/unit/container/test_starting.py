"""A start whose steps fail, one after the other: what was taken before is given back each time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from boxship.container.bundle import Host
from boxship.container.defaults import Defaults
from boxship.container.record import Container, MountPoint
from boxship.container.registry import Cell, Registry, Waiting
from boxship.container.starting import Starting
from boxship.container.tables import Table
from boxship.kernel.netlink.sockets import NETLINK_ROUTE, Netlink
from boxship.model.ids import ContainerId, SandboxId
from boxship.network.namespaces import Namespace
from boxship.network.sandbox import Sandbox, SandboxRequest
from boxship.runtime.cdi import Devices
from boxship.shim.client import Started
from boxship.shim.protocol import Attachment, StartRequest
from boxship.spec.engine.container import ContainerConfig, HostConfig, HostConfigLogConfig
from boxship.store.database import Database

IDENTIFIER = ContainerId("c" * 64)


class Injected(Exception):
    """The step that was to fail has failed."""


@dataclass
class Ledger:
    """What is held by whom, and which call is to fail."""

    fails_at: int
    calls: int = 0
    held: set[str] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)

    def call(self, name: str) -> None:
        """Count a step; fail at the one that was chosen."""
        self.calls += 1
        self.seen.append(name)
        if self.calls == self.fails_at:
            raise Injected(name)

    def take(self, name: str) -> None:
        self.call(f"take {name}")
        assert name not in self.held
        self.held.add(name)

    def give_back(self, name: str) -> None:
        self.held.remove(name)


@dataclass
class Filesystems:
    ledger: Ledger
    root: Path

    def open(self, key: str) -> int:
        self.ledger.call("open the root")
        return os.open(self.root, os.O_PATH)


@dataclass
class Net:
    ledger: Ledger
    root: Path

    def take_namespace(self) -> Namespace:
        self.ledger.call("take a namespace")
        return Namespace(os.open(self.root, os.O_PATH), Netlink(NETLINK_ROUTE), 0)

    def open_now(self, request: SandboxRequest, namespace: Namespace) -> Sandbox:
        with contextlib.closing(namespace):
            self.ledger.take("sandbox")
        return Sandbox(
            id=SandboxId("s"), key="k", netns=os.open(self.root, os.O_PATH), settings={}, ports={},
            hosts=b"", resolv_conf=b"", record=b"",
        )  # fmt: skip

    async def close_sandbox(self, container: str) -> None:
        self.close_now(container)

    def close_now(self, container: str) -> None:
        self.ledger.give_back("sandbox")

    def started(self, container: str, pid: int) -> None:
        """Nothing can fail any more."""


@dataclass
class Storage:
    ledger: Ledger
    root: Path

    def acquire(self, name: str, container: str, **_: object) -> str:
        self.ledger.take(f"volume {name}")
        return str(self.root)

    def release(self, name: str, container: str) -> None:
        self.ledger.give_back(f"volume {name}")


@dataclass(frozen=True)
class FakeTrees:
    ledger: Ledger
    root: Path

    def of_volume(self, point: MountPoint) -> int:
        self.ledger.call("open the part of a volume")
        return os.open(self.root, os.O_PATH)

    def of_image(self, point: MountPoint) -> int:
        self.ledger.call("open an image")
        return os.open(self.root, os.O_PATH)


@dataclass
class Keeper:
    ledger: Ledger

    async def start(self, request: StartRequest, fds: Mapping[str, int]) -> Started:
        for descriptor in fds.values():
            os.fstat(descriptor)
        self.ledger.call("start the program")
        return Started(pid=4242)

    async def close(self) -> None:
        self.ledger.give_back("keeper")


@dataclass
class Spawning:
    ledger: Ledger

    async def spawn(self, container: str, folder: str, *, alone: bool = False) -> Keeper:
        await asyncio.sleep(0)
        self.ledger.take("keeper")
        return Keeper(self.ledger)


RECORD = Container(
    id=IDENTIFIER,
    name="web",
    created=0,
    image="",
    config=ContainerConfig(cmd=["true"], hostname="h", user="1000", labels={"a": "b"}),
    host_config=HostConfig(
        network_mode="bridge",
        log_config=HostConfigLogConfig(type="json-file", config={"tag": "{{.Name}}"}),
        security_opt=["seccomp=unconfined"],
        binds=[],
    ),
    mounts=(
        MountPoint(type="volume", destination="/a", name="a"),
        MountPoint(type="volume", destination="/b", name="b", subpath="x"),
        MountPoint(type="image", destination="/i", source="sha256:1", rw=False),
        MountPoint(type="volume", destination="/c", name="c"),
    ),
)


def starting(ledger: Ledger, folder: Path, registry: Registry) -> Starting:
    parts: dict[str, Any] = {
        "trees": FakeTrees(ledger, folder),
        "roots": Filesystems(ledger, folder / "root"),
        "networks": Net(ledger, folder),
        "volumes": Storage(ledger, folder),
        "spawner": Spawning(ledger),
    }
    return Starting(
        registry=registry,
        offered=Devices(()),
        host=Host(kernel=(6, 1), machine="x86_64", capabilities=frozenset({"CAP_KILL"})),
        defaults=Defaults(),
        folder=str(folder / "containers"),
        run_folder=str(folder / "run"),
        shm_folder=str(folder / "shm"),
        **parts,
    )


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    for name in ("root/etc", f"containers/{IDENTIFIER}", "run", "shm"):
        (tmp_path / name).mkdir(parents=True)
    with contextlib.closing(Database(str(tmp_path / "db"))) as database:
        yield Registry(Table(database))


def descriptors() -> set[str]:
    return {f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}" for fd in _open_ones()}


def _open_ones() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]


async def start_once(ledger: Ledger, folder: Path, registry: Registry) -> None:
    await asyncio.to_thread(int)  # the pool's thread has its own descriptors from now on
    cell = Cell(RECORD)
    client = os.open(folder, os.O_PATH)
    cell.waiting.append(Waiting(Attachment(), client))
    gc.collect()  # what others have left shall not be closed meanwhile
    before = descriptors()
    try:
        await starting(ledger, folder, registry).start(cell)
    except Injected:
        assert not ledger.held, "not given back"
        assert descriptors() == before
        assert [one.fd for one in cell.waiting] == [client], "who waits still waits"
        os.close(client)
        raise
    assert not cell.waiting
    wanted = {one for one in before if not one.startswith(f"{client} ")}
    for _ in range(6000):  # a thread closes them
        if descriptors() == wanted:
            return
        await asyncio.sleep(0.01)
    assert descriptors() == wanted


def test_what_was_taken_is_given_back_whichever_step_fails(
    tmp_path: Path, registry: Registry
) -> None:
    whole = Ledger(fails_at=0)
    asyncio.run(start_once(whole, tmp_path, registry))
    assert whole.held == {"keeper", "sandbox", "volume a", "volume b", "volume c"}
    assert whole.calls == 10
    for step in range(1, whole.calls + 1):
        ledger = Ledger(fails_at=step)
        with pytest.raises(Injected):
            asyncio.run(start_once(ledger, tmp_path, registry))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "root/etc/passwd").write_bytes(b"x" * (5 << 20)),
        lambda folder: (folder / f"containers/{IDENTIFIER}/config.json").mkdir(),
        lambda folder: (folder / f"containers/{IDENTIFIER}/hosts").symlink_to("/dev/null"),
    ],
)
def test_a_bundle_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, registry: Registry, spoil: Any
) -> None:
    spoil(tmp_path)
    ledger = Ledger(fails_at=0)

    async def story() -> None:
        with pytest.raises(Exception):  # noqa: B017 (what it says is others' business)
            await starting(ledger, tmp_path, registry).start(Cell(RECORD))

    asyncio.run(story())
    assert not ledger.held
